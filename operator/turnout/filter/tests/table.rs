//! The table: what is read out of it, and that a line that does not fit refuses all of it.

use turnout_filter::fit::{Features, Talent};
use turnout_filter::table::{Capacity, Table};

const GOOD: &str = "turnout\t7
lane\tl1\tc1\tapi.example.com\t/api/v1\tauthorization\tBearer sk-1\tup\\u002d\\\"1\\\"\t600\t8\t300000
lane\tl2\tc2\tlocalhost:8000\t\t\t\tllama\t0\t0\t0
group\tassistant\t10000\t300000\t30000\t600000\t2\tcomplete
model\tassistant\tbig\tl1\t1\t5\t30000\t3\t60000\t140000\t14000\t420000\t128000\ttools,vision
model\tassistant\tsmall\tl2\t0\t5\t30000\t3\t0\t0\t0\t0\t0\t*
canary\tassistant\t5f2c1a77\t5f2c1a77-3\tsmall\t500\t1\tbig
key\tbilling\tchat:create,models:list\tassistant\t500\t100000\t0
token\tbilling\t00ab12cd\t0\t1800000000000
token\tbilling\tbb\t3\t0
key\tall\t*\t*\t0\t0\t0
";

#[test]
fn a_table_is_read_whole() {
    let table = Table::parse(GOOD).unwrap();
    let (lane, group, key) = (&table.lanes[0], &table.groups[0], &table.keys["billing"]);
    assert_eq!(
        (lane.cluster.as_str(), lane.prefix.as_str(), lane.upstream.as_str()),
        ("c1", "/api/v1", "up\\u002d\\\"1\\\"")
    );
    assert_eq!(lane.credential, Some(("authorization".into(), "Bearer sk-1".into())));
    assert_eq!((table.lanes[1].credential.is_none(), table.lanes[1].prefix.as_str()), (true, ""));
    assert_eq!((group.first_ms, group.request_ms, group.idle_ms), (10_000, 300_000, 30_000));
    assert_eq!((lane.capacity, lane.warm_ms, group.total_ms), (Capacity { rpm: 600, concurrent: 8 }, 300_000, 600_000));
    let (big, small) = (group.models[0].talent, group.models[1].talent);
    assert_eq!(big, Talent { window: 128_000, features: Features::TOOLS.and(Features::VISION) });
    assert_eq!(small, Talent { window: 0, features: Features::ALL });
    assert_eq!((group.attempts, group.complete, group.models.len()), (2, true, 2));
    assert_eq!((group.models[1].lane, group.models[1].fallback), (1, false));
    let canary = group.canary.as_ref().unwrap();
    assert_eq!((canary.rollout.as_str(), canary.tag.as_str()), ("5f2c1a77", "5f2c1a77-3"));
    assert_eq!((canary.canary, canary.baseline, canary.weight, canary.sticky), (1, 0, 500, true));
    assert_eq!((key.scopes.len(), key.rpm, key.tpm), (2, 500, 100_000));
    let token = |id| key.token(id).map(|token| (token.number, token.slot.as_str(), token.expires_ms));
    assert_eq!(token("00ab12cd"), Some((0x1_00ab_12cd, "0", 1_800_000_000_000)));
    assert_eq!((token("bb"), token("cc")), (Some((0x1bb, "3", 0)), None));
    assert_eq!(table.group("assistant"), Some(0));
}

#[test]
fn a_table_may_be_empty() {
    assert!(Table::parse("turnout\t7\n").is_ok());
}

#[test]
fn whatever_does_not_fit_refuses_the_table() {
    let changed = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{:?}", from);
        GOOD.replacen(from, to, 1)
    };
    let bad = [
        changed("turnout\t7", "turnout\t1"),
        changed("turnout\t7\n", ""),
        changed("key\tall", "kee\tall"),
        changed("key\tall", "key\tbilling"),
        changed("token\tbilling\tbb", "token\tnobody\tbb"),
        changed("token\tbilling\tbb", "token\tbilling\t"),
        changed("bb\t3\t0", "bb\t3\tnever"),
        changed("bb\t3\t0", "bb\tlast\t0"),
        changed("bb\t3\t0", "bb\t0"),
        changed("lane\tl2", "lane\tl1"),
        changed("model\tassistant\tbig\tl1", "model\tassistant\tbig\tl9"),
        changed("model\tassistant\tbig", "model\tother\tbig"),
        changed("model\tassistant\tsmall", "model\tassistant\tbig"),
        changed("\tl1\t1\t", "\tl1\tyes\t"),
        changed("\tl1\t1\t5", "\tl1\t1\t0"),
        changed("canary\tassistant", "canary\tother"),
        changed("canary\tassistant\t5f2c1a77", "canary\tassistant\t"),
        changed("\t5f2c1a77-3\t", "\t\t"),
        changed("\tsmall\t500", "\tmiddle\t500"),
        changed("\tsmall\t500", "\tbig\t500"),
        changed("\t500\t1\tbig", "\t500\t1\tmiddle"),
        changed("\t500\t1\tbig", "\t10001\t1\tbig"),
        changed("\t500\t1\tbig", "\t500\t2\tbig"),
        changed("\t500\t1\tbig", "\t500\t1"),
        changed("key\tbilling", "canary\tassistant\tagain\tagain-1\tsmall\t500\t1\tbig\nkey\tbilling"),
        changed("group\tassistant", "group\tempty\t1\t1\t1\t1\t1\tlive\ngroup\tassistant"),
        changed("complete", "whole"),
        changed("\t2\tcomplete", "\t4\tcomplete"),
        changed("\t10000\t", "\t-1\t"),
        changed("\t10000\t", "\t0\t"),
        changed("\t10000\t", "\t99999999999999999999\t"),
        changed("authorization\tBearer sk-1", "\tBearer sk-1"),
        changed("llama", "\"}"),
        changed("llama", "\\"),
        changed("llama", ""),
        changed("\t0\t*\n", "\t*\n"),
        changed("\t0\t*\n", "\t0\t0\t*\n"),
        changed("tools,vision", "tools,sight"),
        changed("\t600\t8\t300000\n", "\t600\t300000\n"),
        changed("\t600000\t2", "\t0\t2"),
        changed("key\tall", "\nkey\tall"),
        changed("\tl1\tc1\t", "\t\tc1\t"),
    ];
    for text in bad {
        assert!(Table::parse(&text).is_err(), "{}", text);
    }
}

#[test]
fn what_is_said_of_a_bad_line_holds_no_credential() {
    let wrong = Table::parse(&GOOD.replace("up\\u002d\\\"1\\\"", "a\"b")).unwrap_err();
    assert_eq!(wrong.line, 2);
    assert!(!format!("{:?}", wrong).contains("sk-1"));
}
