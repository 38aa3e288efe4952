-- takeover: held by a process without a lease -> due now; or dead, where its holders died `limit` times running.
-- Invariant: the victim is barred (negative score) before the first entry leaves it, and unregistered only once it holds nothing, so a
-- takeover cut off in between is finished by whoever looks next.
-- ARGV: victim, n, limit. Reply: state, entries moved, '1' where it holds more, the events given up.
local victim, n, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if not registered() then return { 'gone' } end
if not marked() then return { 'unmarked' } end
if call('EXISTS', lease(victim)) == 1 or not call('ZSCORE', processes, victim) then return { 'ok', 0, '0', {} } end
call('ZADD', processes, '-1', victim)
local list = heldby(victim)
local moved, given = 0, {}
local all = call('HGETALL', list)
for i = 1, math.min(#all, 2 * n), 2 do
  local entry, seen = all[i], tonumber(all[i + 1]) or now
  call('HDEL', list, entry)
  moved = moved + 1
  local crashes = call('HINCRBY', progress(entry), 'crashes', '1')
  local f = crashes >= limit and read(entry)
  if f then
    local p = fields(call('HGETALL', progress(entry)))
    bury(entry, f, 'crashed', p.attempts or '0', p.status, p.error, rfc3339(tonumber(p.seen or seen)), publishedat(entry, f))
    given[#given + 1] = f.event or ''
  else
    later(entry, now, seen)
  end
end
local more = call('HLEN', list) > 0
if not more then
  call('ZREM', processes, victim)
  unlist(victim)
end
return { 'ok', moved, more and '1' or '0', given }
