/**
 * SchemaSql: the schema `slipway` in the user's database: what describes tables, and what
 * users call. The event triggers are in ddl-trigger-sql.ts.
 *
 * Q1  Every statement can be run again on each start, and mends what was changed.
 * Q2  Functions that need rights the caller lacks are SECURITY DEFINER with a fixed
 *     search_path, and check the caller where it matters.
 * Q3  Schema messages carry a key that only superusers can read: any role may write into the
 *     WAL under any prefix, but nobody else can write what the mirror takes for a change.
 */

/** Publication, and the prefix of the slot's name. */
export const PUBLICATION = 'slipway'

const TABLES = `
create schema if not exists slipway;
create table if not exists slipway.excluded (relid oid primary key);
-- Holds a row from before a slot is made until every table is announced in its stream.
create table if not exists slipway.recopy_pending (only_row boolean primary key check (only_row));
-- Under row-level security without a policy nobody but its owner and superusers sees the row,
-- whatever default privileges granted.
create table if not exists slipway.message_key (
  only_row boolean primary key check (only_row), key text not null);
alter table slipway.message_key enable row level security;
insert into slipway.message_key values (true, gen_random_uuid()) on conflict do nothing;
-- A role called slipway would make its tables in our schema: "$user" is first in the path.
do $$ begin
  if exists (select from pg_roles where rolname = 'slipway') and not exists (
      select from pg_db_role_setting s join pg_roles r on r.oid = s.setrole
      where r.rolname = 'slipway' and s.setdatabase in (0, (select oid from pg_database
          where datname = current_database())) and exists (
        select from unnest(s.setconfig) c where c like 'search_path=%')) then
    execute format('alter role slipway in database %I set search_path = public',
      current_database());
  end if;
end $$;
-- What the engine last said; it says it anew after a crash, so nothing needs to be logged.
create unlogged table if not exists slipway.table_status (
  relid oid primary key,
  state text not null,
  reason text,
  cure text,
  delta_path text,
  delta_version bigint,
  durable_lsn pg_lsn,
  applied_lsn pg_lsn,
  rows bigint not null,
  files bigint not null,
  tail_rows bigint not null
);
`

/**
 * One row for each table that is or could be of interest; `why` is null when the table can
 * be mirrored, else the reason and the cure. Plain reads of the catalog, so that inside a
 * REPEATABLE READ transaction it describes what that transaction sees.
 */
const DESCRIBE = `
create or replace function slipway.describe_relations(wanted oid[])
returns table (relid oid, schema_name name, table_name name, why text[], description json)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.oid, n.nspname, c.relname, refusal.why,
    json_build_object(
      'relid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,
      'refusal', case when refusal.why is not null then
        json_build_object('reason', refusal.why[1], 'cure', refusal.why[2]) end,
      'columns', coalesce(columns.list, '[]'), 'primaryKey', coalesce(key.list, '[]'))
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_index i on i.indrelid = c.oid and i.indisprimary
  cross join lateral (select format('%I.%I', n.nspname, c.relname) as name) quoted
  left join lateral (
    select json_agg(k.attnum::int order by k.place) as list
    from unnest(i.indkey::int2[]) with ordinality k (attnum, place)
    where k.place <= i.indnkeyatts
  ) key on true
  left join lateral (
    select json_agg(json_build_object(
      'attnum', a.attnum::int, 'name', a.attname, 'typeOid', t.oid::bigint,
      'typmod', base.typmod,
      'elementOid', case when t.typcategory = 'A' and t.typlen = -1
        and t.typsubscript = 'array_subscript_handler'::regproc then t.typelem::bigint else 0 end,
      'notNull', a.attnotnull, 'hasMissing', a.atthasmissing) order by a.attnum) as list
    from pg_attribute a
    cross join lateral (
      with recursive chain (type, typmod) as (
        select a.atttypid, a.atttypmod
        union all
        select d.typbasetype, case when chain.typmod = -1 then d.typtypmod else chain.typmod end
        from chain join pg_type d on d.oid = chain.type and d.typtype = 'd')
      select chain.type, chain.typmod
      from chain join pg_type b on b.oid = chain.type and b.typtype <> 'd'
    ) base
    join pg_type t on t.oid = base.type
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ) columns on true
  cross join lateral (select case
    when n.nspname = 'slipway' then array['the schema slipway is Slipway''s own',
      format('ALTER TABLE %s SET SCHEMA public', quoted.name)]
    when c.relkind = 'p' then array['a partitioned table holds no rows itself',
      'Query its partitions, which are mirrored when they have a primary key.']
    when c.relkind = 'f' then array['a foreign table''s rows live on another server',
      'Copy them into an ordinary table with a primary key.']
    when c.relpersistence = 'u' then array['an unlogged table''s changes are not in the WAL',
      format('ALTER TABLE %s SET LOGGED', quoted.name)]
    when exists (select from slipway.excluded e where e.relid = c.oid) then
      array['excluded by slipway.exclude', format('SELECT slipway.include(%L)', quoted.name)]
    when exists (select from pg_inherits h where h.inhparent = c.oid) then
      array['other tables inherit from it, and a query on it needs their rows too',
        'Use partitions or a view instead of INHERITS.']
    when i.indexrelid is null then array['it has no primary key',
      format('ALTER TABLE %s ADD PRIMARY KEY (…)', quoted.name)]
    when not i.indimmediate or not i.indisvalid then array['its primary key is deferrable',
      'Make the primary key anew without DEFERRABLE.']
    when c.relreplident not in ('d', 'f') then
      array['its replica identity does not name the primary key',
        format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', quoted.name)]
    when exists (select from pg_attribute g where g.attrelid = c.oid and g.attgenerated <> ''
      and not g.attisdropped) then
      array['a generated column''s values are not replicated',
        'Make the column an ordinary one that a trigger fills.']
  end as why) refusal
  where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not (n.nspname = 'slipway'
      and c.relname in ('excluded', 'recopy_pending', 'message_key', 'table_status'))
    and (wanted is null or c.oid = any (wanted))
$$;

create or replace function slipway.describe(relation regclass) returns json
language sql stable as $$
  select description from slipway.describe_relations(array[relation::oid])
$$;
`

/** What users see. `lag` is in bytes of WAL. */
const VIEW = `
create or replace view slipway.tables as
select d.schema_name::text as schema_name, d.table_name::text as table_name,
  case when d.why is not null then 'not mirrored' else coalesce(s.state, 'init') end as state,
  case when d.why is not null then d.why[1] else s.reason end as reason,
  case when d.why is not null then d.why[2] else s.cure end as cure,
  s.delta_path, s.delta_version, s.durable_lsn, s.applied_lsn,
  case when d.why is null then
    greatest(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.applied_lsn), 0)::bigint end as lag,
  s.rows, s.files, s.tail_rows, d.relid
from slipway.describe_relations(null) d
left join slipway.table_status s on s.relid = d.relid
order by 1, 2;
`

/** Membership of the publication; adding is the engine's alone (see table-copy.ts). */
const PUBLISHING = `
create or replace function slipway.is_published(relation oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
    where p.pubname = '${PUBLICATION}' and r.prrelid = relation)
$$;

create or replace function slipway.set_published(relation oid, wanted boolean) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  target text;
begin
  if slipway.is_published(relation) = wanted then return false; end if;
  select format('%I.%I', n.nspname, c.relname) into target
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation;
  if target is null then return false; end if;
  execute format('alter publication ${PUBLICATION} %s table only %s',
    case when wanted then 'add' else 'drop' end, target);
  return true;
end $$;

-- Decoding merges subtransactions by LSN: a message counts from the end of its record, a row from
-- the start of its own. The row right behind a message would tie with it and could come first;
-- a record between them keeps the order.
create or replace function slipway.emit_ddl(message json) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_logical_emit_message(true, 'slipway.ddl', k.key || ' ' || message::text)
    from slipway.message_key k;
  perform pg_logical_emit_message(false, 'slipway', '');
end $$;

create or replace function slipway.announce(description json, rewritten boolean) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select slipway.emit_ddl(json_build_object(
    'op', 'table', 'table', description, 'rewritten', rewritten))
$$;

-- The engine's: makes an eligible table a member, in one transaction with the announcement
-- that what was mirrored before, if anything, is not to be relied on.
create or replace function slipway.publish(relation oid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  found_table record;
begin
  select * into found_table from slipway.describe_relations(array[relation]);
  if found_table.relid is null or found_table.why is not null then return false; end if;
  if not slipway.set_published(relation, true) then return false; end if;
  perform slipway.announce(found_table.description, true);
  return true;
end $$;
`

const EXCLUSION = `
-- The role that calls, also inside a SECURITY DEFINER function.
create or replace function slipway.may_manage(relation oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select pg_has_role(case current_setting('role') when 'none' then session_user
    else current_setting('role') end, c.relowner, 'USAGE')
  from pg_class c where c.oid = relation
$$;

create or replace function slipway.exclude(relation regclass) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not slipway.may_manage(relation) then
    raise exception 'must be owner of table %', relation using errcode = '42501';
  end if;
  insert into slipway.excluded values (relation) on conflict do nothing;
  perform slipway.set_published(relation, false);
  perform slipway.announce(d.description, false)
    from slipway.describe_relations(array[relation::oid]) d;
end $$;

create or replace function slipway.include(relation regclass) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not slipway.may_manage(relation) then
    raise exception 'must be owner of table %', relation using errcode = '42501';
  end if;
  delete from slipway.excluded e where e.relid = relation;
  perform slipway.announce(d.description, true)
    from slipway.describe_relations(array[relation::oid]) d;
end $$;
`

/**
 * Since 17 a message can be flushed by itself. Before, the WAL writer does it, but alone only
 * whole pages, so that the request is followed by as much as two of them.
 */
function flushFunction(serverVersion: number): string {
  const emit = serverVersion >= 17
    ? `perform pg_logical_emit_message(false, 'slipway.flush', target::text, true);`
    : `perform pg_logical_emit_message(false, 'slipway.flush', target::text),
    pg_logical_emit_message(false, 'slipway', repeat(' ', 16384));`
  return `
create or replace function slipway.flush() returns pg_lsn
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- Every commit that was acknowledged before lies below. The message tells the mirror.
  target constant pg_lsn := pg_current_wal_insert_lsn();
  slot record;
  heard timestamptz := clock_timestamp();
  pause double precision := 0.002;
begin
  ${emit}
  loop
    select s.confirmed_flush_lsn, s.active into slot
      from pg_replication_slots s, pg_database d
      where d.datname = current_database() and s.slot_name = 'slipway_' || d.oid;
    if slot.confirmed_flush_lsn >= target then return slot.confirmed_flush_lsn; end if;
    if slot.active then heard := clock_timestamp(); end if;
    if clock_timestamp() > heard + interval '30 seconds' then
      raise exception 'the mirror is not running, so nothing can be flushed'
        using errcode = 'SW001', hint = 'See slipway status.';
    end if;
    perform pg_sleep(pause);
    pause := least(pause * 1.5, 0.02);
  end loop;
end $$;
`
}

const GRANTS = `
revoke all on all functions in schema slipway from public;
grant usage on schema slipway to public;
grant select on slipway.tables, slipway.excluded, slipway.table_status to public;
grant execute on function slipway.describe(regclass), slipway.describe_relations(oid[]),
  slipway.flush(), slipway.exclude(regclass), slipway.include(regclass) to public;
`

/** `serverVersion`: major version of the server that shall run it. */
export function schemaSql(serverVersion: number): string {
  return [TABLES, DESCRIBE, VIEW, PUBLISHING, EXCLUSION, flushFunction(serverVersion), GRANTS]
    .join('\n')
}
