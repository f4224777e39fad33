/**
 * DdlTriggerSql: event triggers that put schema changes into the WAL, in order with the data.
 *
 * T1  A user's command never fails because of them: what goes wrong inside is answered by
 *     taking the table out of the mirror, with the reason in slipway.tables.
 * T2  A table that can no longer be replicated leaves the publication in the very transaction
 *     that made it so, or its next UPDATE would fail. Tables are added by the engine alone:
 *     ALTER PUBLICATION locks the publication until the end of the transaction, and one
 *     open CREATE TABLE must not stop all others.
 * T3  Rewrites (which pgoutput does not show) and changes of types that alter the text of
 *     rows already there are announced as such.
 *
 * They fire for every role and, ENABLE ALWAYS, under session_replication_role = replica too.
 */

/** A failure inside: out of the publication, and said so. \`relation\` may be half changed. */
const NOTE = `
create or replace function slipway.note_failure(relation oid, code text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  begin
    perform slipway.set_published(relation, false);
  exception when others then null;
  end;
  perform slipway.announce(json_build_object(
    'relid', relation::bigint,
    'schema', coalesce((select n.nspname from pg_class c join pg_namespace n
      on n.oid = c.relnamespace where c.oid = relation), ''),
    'name', coalesce((select c.relname from pg_class c where c.oid = relation), ''),
    'refusal', json_build_object(
      'reason', format('a change of the table could not be followed (SQLSTATE %s)', code),
      'cure', 'SELECT slipway.include(…) on the table'),
    'columns', '[]'::json, 'primaryKey', '[]'::json), true);
exception when others then null;
end $$;

create or replace function slipway.note_table(relation oid, rewritten boolean) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  found_table record;
begin
  select * into found_table from slipway.describe_relations(array[relation]);
  if found_table.relid is null then
    -- Moved to a schema that is none of ours to mirror.
    if slipway.set_published(relation, false) then perform slipway.note_drop(relation); end if;
    return;
  end if;
  if found_table.why is not null then perform slipway.set_published(relation, false); end if;
  perform slipway.announce(found_table.description, rewritten);
exception when others then
  perform slipway.note_failure(relation, sqlstate);
end $$;

create or replace function slipway.note_drop(relation oid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from slipway.excluded e where e.relid = relation;
  delete from slipway.table_status s where s.relid = relation;
  perform slipway.emit_ddl(json_build_object('op', 'drop', 'relid', relation::bigint));
exception when others then null;
end $$;

-- Tables with a column whose values are, or hold, values of the type.
create or replace function slipway.tables_using(wanted oid) returns setof oid
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive types (type) as (
    select wanted
    union
    select u.oid from types
    join pg_type u on u.typbasetype = types.type
      or (u.typelem = types.type and u.typcategory = 'A')
      or exists (select from pg_range r where r.rngtypid = u.oid and r.rngsubtype = types.type)
      or exists (select from pg_attribute f join pg_class k on k.oid = f.attrelid
        where k.relkind = 'c' and k.reltype = u.oid and f.atttypid = types.type))
  select distinct c.oid from types
  join pg_attribute a on a.atttypid = types.type and a.attnum > 0 and not a.attisdropped
  join pg_class c on c.oid = a.attrelid and c.relkind = 'r'
$$;
`

/**
 * SET UNLOGGED is refused for a member of a publication, before any trigger of ours could
 * take it out, so it is taken out when the command begins. Which table it is about nobody
 * says at that point: every member that the text names goes, and comes back at the end.
 */
const ON_START = `
create or replace function slipway.on_ddl_start() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  member record;
  gone text := '';
begin
  if current_query() !~* '\\munlogged\\M' then return; end if;
  begin
    for member in select r.prrelid as relation
      from pg_publication_rel r
      join pg_publication p on p.oid = r.prpubid and p.pubname = 'slipway'
      join pg_class c on c.oid = r.prrelid
      where position(lower(c.relname) in lower(current_query())) > 0
    loop
      perform slipway.set_published(member.relation, false);
      gone := concat_ws(',', nullif(gone, ''), member.relation);
    end loop;
    perform set_config('slipway.unpublished', gone, true);
  exception when others then null;
  end;
end $$;

create or replace function slipway.on_rewrite() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('slipway.rewritten', concat_ws(',',
    nullif(current_setting('slipway.rewritten', true), ''),
    pg_event_trigger_table_rewrite_oid()), true);
end $$;
`

const ON_END = `
create or replace function slipway.on_ddl_end() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  rewritten oid[] := string_to_array(
    nullif(current_setting('slipway.rewritten', true), ''), ',')::oid[];
  unpublished oid[] := string_to_array(
    nullif(current_setting('slipway.unpublished', true), ''), ',')::oid[];
  -- ADD VALUE and changes of owner or name leave the rows' text as it was. A command inside
  -- a function does not show its text, so it counts as the worst.
  retyped constant boolean := current_query() !~* '\\malter\\s+type\\M'
    or current_query() ~* '\\m(rename\\s+value|(add|drop|alter)\\s+attribute)\\M';
  target record;
begin
  if unpublished is not null then
    perform set_config('slipway.unpublished', '', true);
  end if;
  if rewritten is not null then perform set_config('slipway.rewritten', '', true); end if;
  for target in
    with recursive commands as (
      select c.classid, c.objid, c.command_tag from pg_event_trigger_ddl_commands() c
    ), named (relation, changed) as (
      select objid, false from commands where classid = 'pg_class'::regclass
      union select r, true from unnest(rewritten) r
      union select r, false from unnest(unpublished) r
      union select c.oid, false from commands k join pg_class c on c.relnamespace = k.objid
        where k.classid = 'pg_namespace'::regclass and k.command_tag = 'ALTER SCHEMA'
      union select t, true from commands k, slipway.tables_using(k.objid) t
        where k.classid = 'pg_type'::regclass and k.command_tag = 'ALTER TYPE' and retyped
      union select h.inhparent, false from commands k join pg_inherits h on h.inhrelid = k.objid
        where k.classid = 'pg_class'::regclass
    ), family (relation, changed) as (
      select * from named
      union select h.inhrelid, false from family f join pg_inherits h on h.inhparent = f.relation
    )
    select f.relation, bool_or(f.changed) as changed
    from family f join pg_class c on c.oid = f.relation
    where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
    group by f.relation order by f.relation
  loop
    if target.relation = any (unpublished) then
      perform slipway.republish(target.relation);
    end if;
    perform slipway.note_table(target.relation, target.changed);
  end loop;
exception when others then
  perform slipway.note_failure(r, sqlstate) from unnest(rewritten || unpublished) r;
end $$;

create or replace function slipway.republish(relation oid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform slipway.set_published(relation, true)
    from slipway.describe_relations(array[relation]) d where d.why is null;
exception when others then
  perform slipway.note_failure(relation, sqlstate);
end $$;
`

const ON_DROP = `
create or replace function slipway.on_drop() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  gone record;
begin
  for gone in select distinct o.objid, o.object_type
    from pg_event_trigger_dropped_objects() o
    where o.classid = 'pg_class'::regclass and not o.is_temporary
      and (o.object_type in ('table', 'foreign table')
        -- DROP TYPE … CASCADE and the like; ALTER TABLE says so itself at its end.
        or (o.object_type = 'table column' and tg_tag <> 'ALTER TABLE'))
  loop
    if gone.object_type = 'table column' then perform slipway.note_table(gone.objid, false);
    else perform slipway.note_drop(gone.objid);
    end if;
  end loop;
  -- Parents whose last child went can be mirrored now.
  if tg_tag <> 'ALTER TABLE' then
    perform slipway.note_table(c.oid, false) from pg_class c
      where c.relkind = 'r' and c.relhassubclass and c.relpersistence = 'p'
        and not exists (select from pg_inherits h where h.inhparent = c.oid)
        and not slipway.is_published(c.oid) and c.oid >= 16384;
  end if;
exception when others then null;
end $$;
`

/** CREATE EVENT TRIGGER knows no OR REPLACE; an existing one keeps calling the new function. */
const TRIGGERS = `
do $$
declare
  wanted record;
begin
  for wanted in select * from (values
    ('slipway_ddl_start', 'ddl_command_start', 'on_ddl_start', array['ALTER TABLE']),
    ('slipway_rewrite', 'table_rewrite', 'on_rewrite', null),
    ('slipway_drop', 'sql_drop', 'on_drop', null),
    ('slipway_ddl_end', 'ddl_command_end', 'on_ddl_end', array['CREATE TABLE',
      'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
      'IMPORT FOREIGN SCHEMA', 'CREATE SCHEMA', 'ALTER TABLE', 'ALTER INDEX', 'ALTER SCHEMA',
      'ALTER TYPE'])
  ) t (name, event, function, tags)
  loop
    if not exists (select from pg_event_trigger where evtname = wanted.name) then
      execute format('create event trigger %I on %s %s execute function slipway.%I()',
        wanted.name, wanted.event,
        case when wanted.tags is not null then (select 'when tag in ('
          || string_agg(quote_literal(tag), ', ') || ')' from unnest(wanted.tags) tag) end,
        wanted.function);
    end if;
    execute format('alter event trigger %I enable always', wanted.name);
  end loop;
end $$;
revoke all on function slipway.note_failure(oid, text), slipway.note_table(oid, boolean),
  slipway.note_drop(oid), slipway.tables_using(oid), slipway.republish(oid),
  slipway.on_ddl_start(), slipway.on_rewrite(), slipway.on_ddl_end(), slipway.on_drop()
  from public;
`

export function ddlTriggerSql(): string {
  return [NOTE, ON_START, ON_END, ON_DROP, TRIGGERS].join('\n')
}
