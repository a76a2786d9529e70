//! Functions, procedures, aggregates, operators and their classes, casts, languages, access methods.

use super::{
    class::Class,
    user_objects::{own, without_schema},
};

pub(super) fn classes() -> Vec<Class> {
    let mut classes = vec![("function", function()), ("aggregate", aggregate())];
    classes.extend(operators());
    classes.extend([
        (
            "cast",
            format!(
                "SELECT pg_catalog.format_type(o.castsource, NULL) || ' AS ' || \
                 pg_catalog.format_type(o.casttarget, NULL), concat_ws(' ', o.castcontext, o.castmethod, \
                 CASE WHEN o.castfunc <> 0 THEN o.castfunc::pg_catalog.regprocedure::text END) \
                 FROM pg_catalog.pg_cast o WHERE {}",
                without_schema("pg_cast")
            ),
        ),
        (
            "transform",
            format!(
                "SELECT pg_catalog.format_type(o.trftype, NULL) || ' for ' || l.lanname, \
                 concat_ws(' ', o.trffromsql::pg_catalog.regprocedure::text, \
                 o.trftosql::pg_catalog.regprocedure::text) FROM pg_catalog.pg_transform o \
                 JOIN pg_catalog.pg_language l ON l.oid = o.trflang WHERE {}",
                without_schema("pg_transform")
            ),
        ),
        (
            "language",
            format!(
                "SELECT o.lanname::text, concat_ws(' ', o.lanpltrusted, \
                 CASE WHEN o.lanplcallfoid <> 0 THEN o.lanplcallfoid::pg_catalog.regprocedure::text END, \
                 CASE WHEN o.laninline <> 0 THEN o.laninline::pg_catalog.regprocedure::text END, \
                 CASE WHEN o.lanvalidator <> 0 THEN o.lanvalidator::pg_catalog.regprocedure::text END) \
                 FROM pg_catalog.pg_language o WHERE {}",
                without_schema("pg_language")
            ),
        ),
        (
            "access method",
            format!(
                "SELECT o.amname::text, concat_ws(' ', o.amtype, o.amhandler::pg_catalog.regproc::text) \
                 FROM pg_catalog.pg_am o WHERE {}",
                without_schema("pg_am")
            ),
        ),
    ]);
    classes
}

fn function() -> String {
    format!(
        "SELECT n.nspname || '.' || o.proname || '(' || pg_catalog.pg_get_function_identity_arguments(o.oid) || ')', \
         pg_catalog.pg_get_functiondef(o.oid) FROM pg_catalog.pg_proc o {} AND o.prokind <> 'a'",
        own("pg_proc", "pronamespace")
    )
}

fn aggregate() -> String {
    // A dump omits the attributes of a missing final function.
    let modify = |function: &str, modify: &str| {
        format!("CASE WHEN a.{function} <> 0 THEN a.{modify} WHEN a.aggkind = 'n' THEN 'r' ELSE 'w' END")
    };
    format!(
        "SELECT n.nspname || '.' || o.proname || '(' || pg_catalog.pg_get_function_identity_arguments(o.oid) || ')', \
         concat_ws(' ', pg_catalog.format_type(o.prorettype, NULL), o.proparallel, a.aggkind, a.aggnumdirectargs, \
         a.aggtransfn::pg_catalog.regprocedure::text, a.aggfinalfn::pg_catalog.regproc::text, \
         a.aggcombinefn::pg_catalog.regproc::text, a.aggserialfn::pg_catalog.regproc::text, \
         a.aggdeserialfn::pg_catalog.regproc::text, a.aggmtransfn::pg_catalog.regproc::text, \
         a.aggminvtransfn::pg_catalog.regproc::text, a.aggmfinalfn::pg_catalog.regproc::text, \
         a.aggfinalextra AND a.aggfinalfn <> 0, a.aggmfinalextra AND a.aggmfinalfn <> 0, \
         {modify}, {moving_modify}, a.aggsortop::pg_catalog.regoperator::text, \
         pg_catalog.format_type(a.aggtranstype, NULL), a.aggtransspace, \
         pg_catalog.format_type(a.aggmtranstype, NULL), a.aggmtransspace, a.agginitval, a.aggminitval) \
         FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = o.oid {own}",
        modify = modify("aggfinalfn", "aggfinalmodify"),
        moving_modify = modify("aggmfinalfn", "aggmfinalmodify"),
        own = own("pg_proc", "pronamespace")
    )
}

/// A name that others refer to but that was never defined is not an operator yet, and no dump contains it.
fn operators() -> Vec<Class> {
    let type_name = |oid: &str| format!("CASE WHEN {oid} = 0 THEN 'none' ELSE pg_catalog.format_type({oid}, NULL) END");
    let left = type_name("o.oprleft");
    let right = type_name("o.oprright");
    vec![
        (
            "operator",
            format!(
                "SELECT n.nspname || '.' || o.oprname || '(' || {left} || ', ' || {right} || ')', concat_ws(' ', \
                 pg_catalog.format_type(o.oprresult, NULL), o.oprcode::pg_catalog.regprocedure::text, \
                 o.oprcom::pg_catalog.regoperator::text, o.oprnegate::pg_catalog.regoperator::text, \
                 o.oprrest::pg_catalog.regproc::text, o.oprjoin::pg_catalog.regproc::text, o.oprcanmerge, o.oprcanhash) \
                 FROM pg_catalog.pg_operator o {} AND o.oprcode <> 0",
                own("pg_operator", "oprnamespace")
            ),
        ),
        (
            "operator class",
            format!(
                "SELECT n.nspname || '.' || o.opcname || ' using ' || m.amname, concat_ws(' ', \
                 pg_catalog.format_type(o.opcintype, NULL), o.opcdefault, fn.nspname || '.' || f.opfname, \
                 {keytype}) FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod \
                 JOIN pg_catalog.pg_opfamily f ON f.oid = o.opcfamily \
                 JOIN pg_catalog.pg_namespace fn ON fn.oid = f.opfnamespace {own}",
                keytype = type_name("o.opckeytype"),
                own = own("pg_opclass", "opcnamespace")
            ),
        ),
        (
            "operator family",
            format!(
                "SELECT n.nspname || '.' || o.opfname || ' using ' || m.amname, concat_ws(' ', \
                 (SELECT string_agg(concat_ws(' ', p.amopstrategy, p.amoppurpose, \
                 p.amopopr::pg_catalog.regoperator::text), ',' ORDER BY p.amopstrategy, \
                 p.amopopr::pg_catalog.regoperator::text) FROM pg_catalog.pg_amop p WHERE p.amopfamily = o.oid), \
                 (SELECT string_agg(concat_ws(' ', p.amprocnum, pg_catalog.format_type(p.amproclefttype, NULL), \
                 pg_catalog.format_type(p.amprocrighttype, NULL), p.amproc::pg_catalog.regprocedure::text), ',' \
                 ORDER BY p.amprocnum, pg_catalog.format_type(p.amproclefttype, NULL), \
                 pg_catalog.format_type(p.amprocrighttype, NULL)) \
                 FROM pg_catalog.pg_amproc p WHERE p.amprocfamily = o.oid)) \
                 FROM pg_catalog.pg_opfamily o JOIN pg_catalog.pg_am m ON m.oid = o.opfmethod {}",
                own("pg_opfamily", "opfnamespace")
            ),
        ),
    ]
}
