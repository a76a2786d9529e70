-- A small database with one of everything that is easy to lose. Run in an empty database, by the superuser.
set client_min_messages = warning;
set timezone = 'UTC';

create schema shop;
create schema "Größen & Maße";
comment on schema shop is 'the order platform';
set search_path = shop;

create type mood as enum ('sad', 'ok', 'very happy', 'it''s');
create type place as (street text, postcode char(6), moods mood[]);
create domain email as text constraint has_an_at check (value ~ '@');
create domain amounts as numeric(12, 2)[];
create collation by_bytes (provider = libc, locale = 'C');

create table texts (id integer primary key, what text not null, value text);
insert into texts values
    (1, 'NULL', null), (2, 'empty', ''), (3, 'what COPY writes for NULL', '\N'), (4, 'the end of COPY', '\.'),
    (5, 'tab', E'a\tb'), (6, 'newline', E'a\nb'), (7, 'carriage return', E'a\r\nb\r'), (8, 'backslashes', E'\\ \\\\ \\t \\n \\'),
    (9, 'control characters', E'\x01\x02\x08\x0b\x0c\x1b\x7f'), (10, 'blanks', '  x  '), (11, 'quotes', '''"`$$$body$'),
    (12, 'unicode', '日本語 🚀 ﬁ'), (13, 'composed', U&'caf\00E9'), (14, 'decomposed', U&'cafe\0301'), (15, 'the word', 'NULL'),
    (16, 'long', repeat('0123456789abcdef', 70000)), (17, 'a planted value', 'row-canary-7f3a91');

create table twice (id integer, value text);
insert into twice values (1, 'same'), (1, 'same'), (1, 'same'), (2, null), (2, '');

create table numbers (id integer primary key, n numeric, d double precision, r real, m money, b bit varying(16), i interval);
insert into numbers values
    (1, 'NaN', 'NaN', 'NaN', '12.34', b'', '1 year 2 mons -3 days 04:05:06.789'),
    (2, 'Infinity', 'Infinity', '-Infinity', '-0.01', b'0101', '-00:00:00.000001'),
    (3, -0.0, '-0', '-0', null, null, interval '178000000 years'),
    (4, 1.10, 0.1, 0.1, null, null, '0'), (5, 1.1, 0.30000000000000004, 1e-45, null, null, null),
    (6, repeat('9', 1000)::numeric, 5e-324, 3.4028235e38, null, null, null), (7, 1e-500, 1.7976931348623157e308, 1, null, null, null);

create table times (id integer primary key, d date, t timestamp, tz timestamptz, ttz timetz);
insert into times values
    (1, 'infinity', '-infinity', 'infinity', '24:00:00+15:59'), (2, '4713-01-01 BC', '4713-01-01 BC', '0044-03-15 12:00:00+00 BC', '00:00:00-15:59'),
    (3, '2026-02-28', '1999-12-31 23:59:59.999999', '1890-01-01 00:00:00+00:53:28', null), (4, null, null, null, null);

create table mixed (
    id bigint generated always as identity (start with 10 increment by 5) primary key,
    tags text[], grid integer[][], feelings mood[], home place, homes place[], mail email unique, prices amounts,
    raw bytea, body json, details jsonb, span int4range, spans int4multirange, words tsvector, net inet, token uuid,
    gone text, fixed char(8) collate by_bytes,
    tags_count integer generated always as (coalesce(cardinality(tags), 0)) stored
);
insert into mixed (tags, grid, feelings, home, homes, mail, prices, raw, body, details, span, spans, words, net, token, gone, fixed) values
    ('{}', '{{1,2},{3,NULL}}', '{sad,"very happy"}', row('Street "1"', '01067', '{ok}'), array[row(null, '', null)::place], 'a@b', '{1.10,NaN}',
     '\x00ff0a5c09', '{"a" :  1, "a":2}', '{"n": 1e400, "u": "\u00e9"}', '[1,5)', '{[1,3),[7,9)}', 'fat:2 cat:3A', '10.0.0.1/8', '00000000-0000-0000-0000-000000000001', 'x', 'ab'),
    (array[null, 'NULL', 'a,b', '"', '\', ''], '{}', null, null, null, null, '{}', '', 'null', 'null', 'empty', '{}', '', '::1', null, null, ''),
    (null, '[-1:0]={8,9}', '{}', row(null, null, null), '{}', 'c@d', null, null, null, '[]', '(,)', '{(,)}', null, null, null, null, null);
alter table mixed drop column gone;

create table measures (at timestamptz not null, kind text not null, value real) partition by range (at);
create table measures_old partition of measures for values from (minvalue) to ('2026-01-01Z');
create table measures_2026 partition of measures for values from ('2026-01-01Z') to ('2027-01-01Z') partition by list (kind);
create table measures_2026_a partition of measures_2026 for values in ('a');
create table measures_2026_rest partition of measures_2026 default;
create table measures_rest partition of measures default;
insert into measures select timestamptz '2025-11-01Z' + n * interval '7 days', chr(97 + n % 3), n / 7.0 from generate_series(1, 120) as n;

create table notes (id integer primary key, body text);
create table notes_private (reader text) inherits (notes);
insert into notes select n, 'note ' || n from generate_series(1, 20) as n;
insert into notes_private select n, 'private ' || n, 'reader' from generate_series(21, 30) as n;
alter table notes add constraint not_blank check (body <> '') not valid;

create table "Größen & Maße"."Artikel ""A""" ("Nr." integer primary key, "größe" text default 'M', "select" boolean);
insert into "Größen & Maße"."Artikel ""A""" select n, 'größe ' || n, n % 2 = 0 from generate_series(1, 10) as n;
create table "a name of sixty-three bytes, which is as long as a name may be!" (id integer);
insert into "a name of sixty-three bytes, which is as long as a name may be!" values (1);

create table no_columns ();
insert into no_columns default values;
insert into no_columns default values;
create table no_rows (id serial primary key, value text);
create unlogged table scratch (id integer);
insert into scratch values (1), (2);

create table persons (id integer primary key, team integer);
create table teams (id integer primary key, lead integer references persons deferrable initially deferred);
alter table persons add constraint persons_team foreign key (team) references teams on delete set null;
begin;
insert into teams values (1, 1), (2, null);
insert into persons values (1, 1), (2, 1), (3, null);
commit;

create table bookings (room integer, span int4range, constraint once exclude using gist (span with &&));
insert into bookings values (1, '[1,3)'), (1, '[3,5)');

create table secrets (owner name, value text);
insert into secrets values ('someone', 'hidden'), ('postgres', 'seen');
alter table secrets enable row level security;
alter table secrets force row level security;
create policy own_only on secrets using (owner = current_user);

create sequence standalone start with 700 increment by 7 cache 5;
create sequence countdown increment by -1 minvalue 1 maxvalue 1000 start with 1000 cycle;
create sequence never_used as smallint start with 5;
select nextval('standalone'), nextval('standalone'), nextval('countdown');

create index mixed_by_tags on mixed using gin (tags);
create index texts_by_start on texts (lower(what) text_pattern_ops) include (id) where value is not null;
create unique index "measures once" on measures (at, kind);
create statistics texts_correlated (dependencies) on id, what from texts;

create view open_notes as select id, body from notes where body like 'n%' with check option;
create view "Übersicht" as select kind, count(*) as "Anzahl" from measures group by kind;
create materialized view per_kind as select kind, count(*) as n, sum(value) as total from measures group by kind;
create materialized view per_count as select n, count(*) as kinds from per_kind group by n;
create materialized view unpopulated as select 1 as one with no data;
create unique index on per_kind (kind);

create function touch() returns trigger language plpgsql as $body$
begin
    new.body := coalesce(new.body, 'touched');
    return new;
end
$body$;
create trigger notes_touch before insert or update on notes for each row execute function touch();
create trigger notes_silent after delete on notes for each statement execute function touch();
alter table notes disable trigger notes_silent;
create function total(wanted text, "with ""default""" integer default 3) returns double precision language sql stable as
    'select sum(value) from shop.measures where kind = wanted';
create procedure nothing() language sql as 'select 1';
create aggregate product (double precision) (sfunc = float8mul, stype = double precision, initcond = '1');
create rule notes_kept as on delete to notes_private do instead nothing;
create rule notes_measured as on insert to notes_private do also
    insert into measures (at, kind, value) select at, kind, value from measures where kind = new.reader;

comment on table mixed is E'one of each\nwith a line end and a ''quote''';
comment on column mixed.raw is 'bytes';
comment on function total(text, integer) is 'of a kind';
