-- renew: the lease by which a process keeps what it holds. A lease that lapsed while nobody took the work over is simply taken again.
-- Invariant: whoever holds work stands in `processes`; a process whose work is being taken over never comes back under its name.
-- A store without the marker is not written to.
-- ARGV: lease in ms, '1' to register. Reply: state, entries held, '1' where the marker is there, registered processes without a lease.
if ARGV[4] == '1' and not marked() then return { 'unmarked' } end
if ARGV[4] == '1' and not call('ZSCORE', processes, me) then call('ZADD', processes, int(now), me) end
if not registered() then return { 'gone' } end
call('SET', lease(me), '1', 'PX', ARGV[3])
local lapsed = {}
for _, p in ipairs(call('ZRANGE', processes, '0', '-1')) do
  if call('EXISTS', lease(p)) == 0 then lapsed[#lapsed + 1] = p end
end
return { 'ok', call('HLEN', held), marked() and '1' or '0', lapsed }
