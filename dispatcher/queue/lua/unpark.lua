-- unpark: parked -> held by the caller, for organizations whose endpoint has capacity here, oldest
-- first. An entry that has left the stream is dropped: the books' difference shows it.
-- Guard: an organization is among the parked ones as long as it has parked entries; an entry leaves
-- in the step that makes it held.
-- ARGV: budget, max payload, then stride 2: organization, n.
-- Reply: state, events, how many entries each organization has left.
local budget, max = tonumber(ARGV[3]), tonumber(ARGV[4])
if not registered() then return { 'fenced' } end
if not initialized() then return { 'not_initialized' } end
local out, remaining, to_hold, bytes = {}, {}, {}, 0
for i = 5, #ARGV, 2 do
  local org, n = ARGV[i], tonumber(ARGV[i + 1])
  local list = parked_key(org)
  local oldest = call('ZRANGE', list, '0', int(n - 1), 'WITHSCORES')
  local leaving = {}
  for j = 1, #oldest, 2 do
    if budget - bytes < max then break end
    local entry, seen = oldest[j], oldest[j + 1]
    leaving[#leaving + 1] = entry
    local f = read_entry(entry)
    if f then
      to_hold[#to_hold + 1] = entry
      to_hold[#to_hold + 1] = seen
      local v = describe(entry, f, seen, max)
      bytes = bytes + #v[5]
      out[#out + 1] = v
    else
      call('DEL', progress_key(entry))
    end
  end
  if #leaving > 0 then
    call('ZREM', list, unpack(leaving))
    call('HINCRBY', books, 'parked', int(-#leaving))
  end
  local rest = call('ZCARD', list)
  if rest == 0 then call('ZREM', parked_orgs, org) else call('ZADD', parked_orgs, now_text, org) end
  remaining[#remaining + 1] = int(rest)
end
hold(to_hold)
return { 'ok', out, remaining }
