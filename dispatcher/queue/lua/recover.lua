-- recover: held by a process without a lease -> retry, due now; or -> dead letter, where `limit`
-- holders in a row died.
-- Guard: the dead process is fenced (negative score) before the first entry leaves it, and it is
-- unregistered only once it holds nothing. So another process can finish an interrupted recovery.
-- ARGV: dead process, n, limit.
-- Reply: state, entries moved, '1' where it holds more, the events of new dead letters.
local process, n, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if not registered() then return { 'fenced' } end
if not initialized() then return { 'not_initialized' } end
if call('EXISTS', lease_key(process)) == 1 or not call('ZSCORE', processes, process) then
  return { 'ok', 0, '0', {} }
end
call('ZADD', processes, '-1', process)
local list = held_key(process)
local moved, crashed = 0, {}
local all = call('HGETALL', list)
for i = 1, math.min(#all, 2 * n), 2 do
  local entry, seen = all[i], tonumber(all[i + 1]) or now
  call('HDEL', list, entry)
  moved = moved + 1
  local crashes = call('HINCRBY', progress_key(entry), 'crashes', '1')
  local f = crashes >= limit and read_entry(entry)
  if f then
    local p = to_table(call('HGETALL', progress_key(entry)))
    dead_letter(entry, f, 'crashed', p.attempts or '0', p.status, p.error,
      rfc3339(tonumber(p.seen or '') or seen), published_at(entry, f))
    crashed[#crashed + 1] = f.event or ''
  else
    schedule(entry, now, seen)
  end
end
local more = call('HLEN', list) > 0
if not more then
  call('ZREM', processes, process)
  delete_consumer(process)
end
return { 'ok', moved, more and '1' or '0', crashed }
