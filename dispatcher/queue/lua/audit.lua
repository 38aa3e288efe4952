-- audit: finds and repairs what only foreign clients can cause.
--   foreign pending entry -> retry, due now; or finished at once where ill-formed or a duplicate
--   entry in no place     -> unread
-- 1. Entries in the group's pending list: a foreign client read them in our group. Those that are
-- in
--    no place become due now. Ill-formed and repeated ones are finished at once, as dequeue does.
-- 2. The stream is read to its end, yet has more entries than all places together: entries are
--    stranded. The group is created again; dequeue then recognizes what is in a place and leases
--    the rest.
-- Guard: an entry that is in a place stays where it is.
-- ARGV: n.
-- Reply: state, foreign entries recovered, '1' where the group was created again, finished entries
-- {outcome, event}.
local n = ARGV[3]
if not initialized() then return { 'not_initialized' } end
local recovered, recreated, rejected = 0, '0', {}
local pending = redis.pcall('XPENDING', events, GROUP, '-', '+', n)
if pending and not pending.err then
  for _, p in ipairs(pending) do
    local entry = p[1]
    local f = read_entry(entry)
    if f and not tracked(entry, f.org_id) then
      local admitted, outcome = admit(entry, f)
      if admitted then
        schedule(entry, now, now)
      else
        rejected[#rejected + 1] = { outcome, f.event or '' }
      end
      recovered = recovered + 1
    end
    call('XACK', events, GROUP, entry)
  end
end
local parked_count, orgs = 0, call('ZRANGE', parked_orgs, '0', '1999')
for _, org in ipairs(orgs) do
  local count = call('ZCARD', parked_key(org))
  if count == 0 then call('ZREM', parked_orgs, org) end
  parked_count = parked_count + count
end
if #orgs < 2000 then
  call('HSET', books, 'parked', int(parked_count))
else
  parked_count = tonumber(call('HGET', books, 'parked') or '0')
end
local placed = parked_count + call('ZCARD', retry)
for _, p in ipairs(call('ZRANGE', processes, '0', '-1')) do
  placed = placed + call('HLEN', held_key(p))
end
if call('XLEN', events) > placed then -- the others are unread, as a rule
  local info, groups = stream_info(), redis.pcall('XINFO', 'GROUPS', events)
  if info and groups and not groups.err then
    for _, g in ipairs(groups) do
      local gi = to_table(g)
      -- A foreign client may have set the group beyond the end of the stream.
      if gi.name == GROUP and not_after(info['last-generated-id'], gi['last-delivered-id']) then
        call('XGROUP', 'DESTROY', events, GROUP)
        create_group()
        recreated = '1'
      end
    end
  end
end
return { 'ok', recovered, recreated, rejected }
