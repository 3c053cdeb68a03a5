"""`turnout fake-provider`: an OpenAI-compatible provider with made-up answers, and faults on demand."""

import asyncio
import signal
import ssl
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from turnout.cli.types import duration, share
from turnout.errors import UsageError
from turnout.local.fakeprovider import FakeProvider, Fault, Options, parse
from turnout.local.fakeprovider.faults import Outage

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def mode(value: str) -> Fault:
    """A fault as local.fakeprovider.faults writes it."""
    try:
        return parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def outage(value: str) -> Outage:
    """An outage as EVERY/FOR, such as `60s/10s`."""
    every, _, lasts = value.partition("/")
    schedule = Outage(duration(every), duration(lasts or "0s"))
    if not 0 < schedule.lasts < schedule.every:
        raise click.BadParameter(f"{value!r}: write EVERY/FOR, such as 60s/10s, FOR shorter than EVERY")
    return schedule


@click.command("fake-provider")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="Port to listen on; 0 = any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--name", default="fake", show_default=True, help="Its name; every answer says it.")
@click.option("--base-path", default="/v1", show_default=True, help="Path in front of /chat/completions.")
@click.option("--api-key", envvar="FAKE_PROVIDER_API_KEY", help="Credential that it asks for; by default none.")
@click.option("--model", "models", multiple=True, help="A model that it knows; repeatable. By default it knows all.")
@click.option("--latency", type=duration, default="50ms", show_default=True, help="Wait before any answer.")
@click.option("--jitter", type=click.FloatRange(0, 3), default=0, help="How unlike latencies are: 0.5 is lifelike.")
@click.option("--first-token", type=duration, default="0s", show_default=True, help="More wait before the first token.")
@click.option("--chunk-delay", type=duration, default="20ms", show_default=True, help="Wait between tokens.")
@click.option("--error-rate", type=share, default="0", show_default=True, help="Share of requests that fail: 0.05, 5%.")
@click.option("--error-status", type=click.IntRange(400, 599), default=500, show_default=True, help="How they fail.")
@click.option("--outage", type=outage, help="EVERY/FOR: 60s/10s is down for the last 10 s of each minute.")
@click.option("--mode", type=mode, default="ok", show_default=True, help="How it answers from the start.")
@click.option("--seed", type=int, help="Makes the errors of --error-rate repeatable.")
@click.option("--tls-cert", type=FILE, help="Certificate in PEM: serve https.")
@click.option("--tls-key", type=FILE, help="Its private key.")
def command(*, api_key: str | None, tls_cert: Path | None, tls_key: Path | None, **settings: Any) -> None:
    r"""Play a provider: chat completions (streamed or not), completions, embeddings, responses and models.

    While it runs, its control path changes how it answers:

    \b
      curl 'localhost:PORT/ctl?mode=503'            from now on
      curl 'localhost:PORT/ctl?mode=429:2&times=3'  the next three requests; Retry-After: 2
      curl 'localhost:PORT/ctl?mode=slow:2&for=10'  for ten seconds
      curl 'localhost:PORT/ctl?mode=ok'
      curl 'localhost:PORT/ctl/seen'                what it was asked, headers included

    \b
    Modes: ok, a status from 400 to 599 (503, or 429:2 with Retry-After), slow:S, ttft:S, hang, drop, reset, cut:N,
    end:N, stall:N, comments, error-event:N, garbage, html, empty, no-choices, no-content.
    S is seconds, N the pieces of content before the fault strikes.
    """
    secret = SecretStr(api_key) if api_key else None
    asyncio.run(_serve(Options(**settings, api_key=secret, tls=_tls(tls_cert, tls_key))))


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise UsageError(f"{certificate}: no certificate with its key ({error.reason or error})") from error
    return context


async def _serve(options: Options) -> None:
    provider = FakeProvider(options)
    try:
        await provider.start()
    except OSError as error:
        raise UsageError(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from error
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    click.echo(f"ready {provider.url} ({options.name})")
    await stop.wait()
    await provider.stop()
