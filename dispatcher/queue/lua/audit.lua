-- audit: what only somebody else's hand can cause, found and put right.
-- 1. Entries in the group's pending list: a stranger read them in our group. They become due now unless they stand somewhere.
--    Ill-formed and repeated ones are finished at once, as take does.
-- 2. The stream is read to its end, yet holds more entries than stand anywhere: they are stranded. The group begins anew; take then
--    recognises what stands somewhere and takes the rest.
-- ARGV: n. Reply: state, entries recovered from strangers, '1' where the group begins anew, finished {outcome, event}.
local n = ARGV[3]
if not marked() then return { 'unmarked' } end
local recovered, anew, done = 0, '0', {}
local pending = redis.pcall('XPENDING', events, group, '-', '+', n)
if pending and not pending.err then
  for _, p in ipairs(pending) do
    local entry = p[1]
    local f = read(entry)
    if f and not known(entry, f.org_id) then
      local go, outcome = judge(entry, f)
      if go then later(entry, now, now) else done[#done + 1] = { outcome, f.event or '' } end
      recovered = recovered + 1
    end
    call('XACK', events, group, entry)
  end
end
local parkedcount, orgs = 0, call('ZRANGE', parked, '0', '1999')
for _, org in ipairs(orgs) do
  local c = call('ZCARD', parkedof(org))
  if c == 0 then call('ZREM', parked, org) end
  parkedcount = parkedcount + c
end
if #orgs < 2000 then call('HSET', books, 'parked', int(parkedcount)) else parkedcount = tonumber(call('HGET', books, 'parked') or '0') end
local stand = parkedcount + call('ZCARD', retry)
for _, p in ipairs(call('ZRANGE', processes, '0', '-1')) do stand = stand + call('HLEN', heldby(p)) end
if call('XLEN', events) > stand then -- those that stand nowhere are unread, as a rule
  local info, groups = streaminfo(), redis.pcall('XINFO', 'GROUPS', events)
  if info and groups and not groups.err then
    for _, g in ipairs(groups) do
      local gi = fields(g)
      if gi.name == group and upto(info['last-generated-id'], gi['last-delivered-id']) then -- beyond it where somebody set it
        call('XGROUP', 'DESTROY', events, group)
        makegroup()
        anew = '1'
      end
    end
  end
end
return { 'ok', recovered, anew, done }
