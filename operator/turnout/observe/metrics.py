"""The operator's own metrics. Whether it keeps up is told by reconcile and publish times, whether it can by errors."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """One set of metrics with a registry of its own, so that tests can have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconcile = Histogram(
            "turnout_reconcile_seconds",
            "Time from the start of a namespace's run until its Secret is written.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.publish = Histogram(
            "turnout_publish_seconds",
            "Time from the first event of a change until every router runs it.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.revocation = Histogram(
            "turnout_revocation_seconds",
            "Time from when the operator learnt that a token must die until every router was seen to refuse it.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.errors = Counter(
            "turnout_reconcile_errors", "Runs that failed and are tried again.", ["namespace"], registry=self.registry
        )
        self.programmed = Gauge(
            "turnout_programmed",
            "1 if every ready router of the namespace runs the wanted configuration.",
            ["namespace"],
            registry=self.registry,
        )
        self.decisions = Counter(
            "turnout_rollout_decisions",
            "Decisions on rollouts.",
            ["namespace", "rollout", "action", "reason"],
            registry=self.registry,
        )
        self.fall = Histogram(
            "turnout_rollout_fall_seconds",
            "Time from the decision that a canary gets no first attempts any more until every router runs it.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.writes = Counter("turnout_api_writes", "Writes to the API server.", registry=self.registry)
        self.scrape_errors = Counter(
            "turnout_scrape_errors", "Routers that did not answer a look.", registry=self.registry
        )

    def forget(self, namespace: str) -> None:
        """Drop the series of a namespace that is no concern any more."""
        for metric in (self.errors, self.programmed):
            metric.labels(namespace)  # or remove() would complain
            metric.remove(namespace)
        self.decisions.remove_by_labels({"namespace": namespace})
