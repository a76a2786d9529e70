-- What only a superuser may define, first where there is no danger in it.
create table t (id integer primary key); insert into t values (1);
create role modeller; create schema s;
create extension dblink; create extension file_fdw; create extension pageinspect;
create type s.spot as (x integer, y integer);
create function s.cmp(s.spot, s.spot) returns integer language sql immutable as 'select ($1).x - ($2).x';
create function s.lt(s.spot, s.spot) returns boolean language sql immutable as 'select ($1).x < ($2).x';
create function s.le(s.spot, s.spot) returns boolean language sql immutable as 'select ($1).x <= ($2).x';
create function s.eq(s.spot, s.spot) returns boolean language sql immutable as 'select ($1).x = ($2).x';
create function s.ge(s.spot, s.spot) returns boolean language sql immutable as 'select ($1).x >= ($2).x';
create function s.gt(s.spot, s.spot) returns boolean language sql immutable as 'select ($1).x > ($2).x';
create operator s.<# (function = s.lt, leftarg = s.spot, rightarg = s.spot);
create operator s.<=# (function = s.le, leftarg = s.spot, rightarg = s.spot);
create operator s.=# (function = s.eq, leftarg = s.spot, rightarg = s.spot);
create operator s.>=# (function = s.ge, leftarg = s.spot, rightarg = s.spot);
create operator s.># (function = s.gt, leftarg = s.spot, rightarg = s.spot);
create operator family s.spots using btree;
create operator class s.spot_ops for type s.spot using btree family s.spots as operator 1 s.<#, operator 2 s.<=#,
    operator 3 s.=#, operator 4 s.>=#, operator 5 s.>#, function 1 s.cmp(s.spot, s.spot);
comment on operator class s.spot_ops using btree is 'by x';
alter operator class s.spot_ops using btree owner to modeller;
create table s.spotted (id integer primary key, at s.spot); insert into s.spotted values (1, row(2, 1)), (2, row(1, 1));
create index spotted_at on s.spotted using btree (at s.spot_ops);
create operator class s.paths for type jsonb using gin as storage integer, operator 7 @>, function 1 btint4cmp(integer, integer),
    function 2 gin_extract_jsonb_path(jsonb, internal, internal),
    function 3 gin_extract_jsonb_query_path(jsonb, internal, smallint, internal, internal, internal, internal),
    function 4 gin_consistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal, internal),
    function 6 gin_triconsistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal);
create text search parser s.words (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, headline = prsd_headline,
    lextypes = prsd_lextype);
comment on text search parser s.words is 'as the default one';
create text search template s.plain (init = dsimple_init, lexize = dsimple_lexize);
create text search dictionary s.plainly (template = s.plain);
create text search configuration s.texts (parser = s.words);
create access method heap2 type table handler heap_tableam_handler;
create table s.heaped (id integer primary key) using heap2; insert into s.heaped select generate_series(1, 10);
create foreign data wrapper plain options (a 'it''s');
create foreign data wrapper checked validator postgresql_fdw_validator;
grant usage on foreign data wrapper plain to modeller;
create server away foreign data wrapper plain options (host 'x');
create foreign table s.far (id integer) server away;
create transform for integer language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal));
create type s.announced;
create cast (text as uuid) with inout as assignment;
create function s.begins(text, text) returns boolean language sql stable support pg_catalog.text_starts_with_support parallel safe
    as 'select starts_with($1, $2)';

-- And then what would let code of the database out of it.
create operator class s.mixed for type text using gin as storage integer, function 1 btint4cmp(integer, integer),
    function 2 gin_extract_jsonb_path(jsonb, internal, internal),
    function 3 gin_extract_jsonb_query_path(jsonb, internal, smallint, internal, internal, internal, internal),
    function 4 gin_consistent_jsonb_path(internal, smallint, jsonb, integer, internal, internal, internal, internal);
create operator class s.wrong for type bigint using btree as function 1 (bigint, bigint) bttextcmp(text, text);
create operator class s.taken default for type json using btree as function 1 (json, json) bttextcmp(text, text);
create type s.shade;
create function s.shade_in(cstring) returns s.shade language internal immutable strict as 'textin';
create function s.shade_out(s.shade) returns cstring language internal immutable strict as 'textout';
create type s.shade (input = s.shade_in, output = s.shade_out);
create function s.upper_of(text) returns text language internal immutable strict as 'upper';

create function s.nothing(text[], oid) returns boolean language sql as 'select true';
create foreign data wrapper run validator s.nothing;
create or replace function s.nothing(text[], oid) returns boolean language plpgsql as
    'begin create table s.escaped (); return true; end';
create foreign data wrapper files handler file_fdw_handler;
create server local foreign data wrapper file_fdw;
create foreign table s.passwd (line text) server local options (filename '/etc/passwd');
create function s.of_date(integer) returns date language sql immutable as 'select date ''2026-01-01'' + $1';
create cast (integer as date) with function s.of_date(integer) as implicit;
create cast (bytea as tsvector) without function;
create function s.days(integer) returns interval language sql immutable as 'select make_interval(days => $1)';
create cast (integer as interval) with function s.days(integer) as assignment;
-- What these would mean to statements of the superuser's that speak of the server's own types alone.
create function s.quiet() returns integer language sql immutable leakproof as 'select 1';
create function s.spelled(regprocedure) returns text language plpgsql as
    'begin if current_database() = ''ledger'' then create table s.escaped (); end if; return format(''%s'', $1); end';
create cast (regprocedure as text) with function s.spelled(regprocedure);
create operator class s.turned for type oid using btree as operator 1 =, function 1 btoidcmp(oid, oid);
create function s.of_oids(oid, oid) returns integer language plpgsql as
    'begin if current_database() = ''ledger'' then create table s.escaped (); end if; return 0; end';
create operator class s.ran for type oid using btree as operator 3 =, function 1 s.of_oids(oid, oid);
create aggregate s.total(bigint) (sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_poly_sum);
create function s.odd(integer) returns boolean language sql stable support pg_catalog.text_starts_with_support as 'select true';
create function s.shorter(timestamp, integer) returns text language sql stable support pg_catalog.timestamp_support
    as 'select left($1::text, $2)';
