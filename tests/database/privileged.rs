//! What only a superuser may define: made where there is no danger in it, and else refused with the reason, once.

use std::collections::BTreeSet;

use crate::support::drill::{Drill, LEDGER, Managed};

const PRIVILEGED: &str = include_str!("privileged.sql");

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_only_a_superuser_may_define_is_made_or_refused_with_the_reason() {
    let drill = Drill::new().database(PRIVILEGED);
    let ran = drill.run();
    ran.assert_ended(1, "FAIL");
    let findings = ran.asset(LEDGER)["findings"].as_array().unwrap();
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let found: BTreeSet<_> = findings.iter().map(|one| (text(one, "kind"), text(one, "subject"))).collect();
    let refused = [
        "AGGREGATE total(bigint) postgres",
        "CAST CAST (bytea AS tsvector) ",
        "CAST CAST (integer AS date) ",
        "CAST CAST (integer AS interval) ",
        "CAST CAST (regprocedure AS text) ",
        "FOREIGN DATA WRAPPER files postgres",
        "FOREIGN DATA WRAPPER run postgres",
        "FOREIGN TABLE passwd postgres",
        "FUNCTION shade_in(cstring) postgres",
        "FUNCTION shade_out(s.shade) postgres",
        "FUNCTION upper_of(text) postgres",
        "OPERATOR CLASS mixed postgres",
        "OPERATOR CLASS ran postgres",
        "OPERATOR CLASS taken postgres",
        "OPERATOR CLASS turned postgres",
        "OPERATOR CLASS wrong postgres",
        "TYPE shade postgres",
        "support function pg_catalog.text_starts_with_support of s.odd(integer)",
        "support function pg_catalog.timestamp_support of s.shorter(timestamp without time zone,integer)",
    ];
    let mut expected: BTreeSet<_> = refused.map(|subject| ("schema_statement".to_owned(), subject.to_owned())).into();
    expected.insert(("deviation".to_owned(), "extension dblink".to_owned()));
    for table in ["far", "passwd"] {
        expected.insert(("not_carried".to_owned(), format!("rows of foreign table s.{table}")));
    }
    assert_eq!(found, expected, "{findings:#?}");
    for finding in findings.iter().filter(|one| one["kind"] == "schema_statement") {
        assert!(text(finding, "detail").contains("trust_source"), "{finding:#}");
    }
    let managed = Managed::start(&ran);
    let mut client = managed.client();
    let mut names =
        |sql: &str| -> Vec<String> { client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect() };
    assert_eq!(names("select relname::text from pg_class where relname = 'escaped'"), Vec::<String>::new());
    assert_eq!(
        names("select indexrelid::regclass::text from pg_index where indexrelid = 's.spotted_at'::regclass"),
        ["s.spotted_at"]
    );
    assert_eq!(names("select proname::text from pg_proc where proleakproof and proname = 'quiet'"), ["quiet"]);
    assert_eq!(names("select opcowner::regrole::text from pg_opclass where opcname = 'spot_ops'"), ["modeller"]);
    let may = "select p.oid::regprocedure::text from pg_proc p where p.proname ~ '^dblink' and has_function_privilege(p.oid, 'execute')
               union all select fdwname::text from pg_foreign_data_wrapper where fdwacl::text ~ 'walkaway_restore='";
    assert_eq!(names(may), Vec::<String>::new());
}
