-- trim: dead events past their retention, or more than the limit, go, oldest first, with their places in the indexes, in bounded steps.
-- ARGV: n, retention in ms, limit. Reply: dropped by retention, dropped by the limit.
local n, retention, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local over = call('XLEN', dead) - limit
local old, many = 0, 0
while n > 0 do
  local some = call('XRANGE', dead, '-', '+', 'COUNT', int(math.min(n, 16)))
  if #some == 0 then break end
  local gone = false
  for _, e in ipairs(some) do
    local expired = millis(e[1]) < now - retention
    if not expired and over <= 0 then gone = true break end
    if expired then old = old + 1 else many = many + 1 end
    over = over - 1
    local f = fields(e[2])
    local byorg, byid = places(f.id or '', indexed(f.org_id), e[1])
    call('XDEL', dead, e[1])
    call('ZREM', deadorgs, byorg)
    call('ZREM', deadids, byid)
  end
  if gone then break end
  n = n - #some
end
return { old, many }
