-- renew: sets the lease by which a process keeps what it holds. A lease that expired while nobody
-- recovered the work is set again.
-- Guard: each process that holds work is in `processes`; a process whose work is being recovered
-- never comes back under its name. A store without the marker is not written to.
-- ARGV: lease in ms, '1' to register.
-- Reply: state, entries held, '1' where the marker is there, registered processes without a lease.
local register = ARGV[4] == '1'
if register and not initialized() then return { 'not_initialized' } end
if register and not call('ZSCORE', processes, me) then call('ZADD', processes, now_text, me) end
if not registered() then return { 'fenced' } end
call('SET', lease_key(me), '1', 'PX', ARGV[3])
local expired = {}
for _, p in ipairs(call('ZRANGE', processes, '0', '-1')) do
  if call('EXISTS', lease_key(p)) == 0 then expired[#expired + 1] = p end
end
return { 'ok', call('HLEN', held), initialized() and '1' or '0', expired }
