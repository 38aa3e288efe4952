-- unpark: parked -> held by me, for organizations whose endpoint has room here, oldest first.
-- Invariant: an organization stands in `parked` as long as it has parked entries; an entry leaves in the step that makes it held.
-- ARGV: budget, max payload, then pairs organization, n. Reply: state, events, how many each organization has left.
local budget, max = tonumber(ARGV[3]), tonumber(ARGV[4])
if not registered() then return { 'gone' } end
if not marked() then return { 'unmarked' } end
local out, left, keep, bytes = {}, {}, {}, 0
for i = 5, #ARGV, 2 do
  local org, n = ARGV[i], tonumber(ARGV[i + 1])
  local list = parkedof(org)
  local some = call('ZRANGE', list, '0', int(n - 1), 'WITHSCORES')
  local gone = {}
  for j = 1, #some, 2 do
    if budget - bytes < max then break end
    local entry, seen = some[j], some[j + 1]
    gone[#gone + 1] = entry
    local f = read(entry)
    if f then
      keep[#keep + 1] = entry
      keep[#keep + 1] = seen
      local v = view(entry, f, seen, max)
      bytes = bytes + #v[5]
      out[#out + 1] = v
    else
      call('DEL', progress(entry))
    end
  end
  if #gone > 0 then
    call('ZREM', list, unpack(gone))
    call('HINCRBY', books, 'parked', int(-#gone))
  end
  local rest = call('ZCARD', list)
  if rest == 0 then call('ZREM', parked, org) else call('ZADD', parked, int(now), org) end
  left[#left + 1] = int(rest)
end
hold(keep)
return { 'ok', out, left }
