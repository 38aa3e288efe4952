-- release: all that the caller holds -> retry, due now, with no attempt counted. A process does
-- this with what it could not finish before it ends.
-- Guard: the process is unregistered only once it holds nothing; it repeats the step until then.
-- ARGV: n.
-- Reply: state, entries moved, '1' where the caller holds more.
local n = tonumber(ARGV[3])
if not registered() then return { 'fenced' } end
local all = call('HGETALL', held)
local moved = 0
for i = 1, math.min(#all, 2 * n), 2 do
  call('HDEL', held, all[i])
  schedule(all[i], now, tonumber(all[i + 1]) or now)
  moved = moved + 1
end
local more = call('HLEN', held) > 0
if not more then
  call('ZREM', processes, me)
  call('DEL', lease_key(me))
  delete_consumer(me)
end
return { 'ok', moved, more and '1' or '0' }
