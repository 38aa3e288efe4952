-- release: all that I hold -> due now, and nothing charged: what a process does with what it could not finish before it ends.
-- Invariant: unregistered only once it holds nothing; repeated until then.
-- ARGV: n. Reply: state, entries moved, '1' where it holds more.
local n = tonumber(ARGV[3])
if not registered() then return { 'gone' } end
local all = call('HGETALL', held)
local moved = 0
for i = 1, math.min(#all, 2 * n), 2 do
  call('HDEL', held, all[i])
  later(all[i], now, tonumber(all[i + 1]) or now)
  moved = moved + 1
end
local more = call('HLEN', held) > 0
if not more then
  call('ZREM', processes, me)
  call('DEL', lease(me))
  unlist(me)
end
return { 'ok', moved, more and '1' or '0' }
