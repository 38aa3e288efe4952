-- due: retry, due -> held by me; or parked, where others of its organization wait already (in the order they were first seen).
-- Invariant: an entry leaves retry in the step that puts it somewhere. One that no longer stands in the stream is dropped: the books'
-- difference shows it.
-- ARGV: n, budget, max payload. Reply: state, events, orgs parked into, ms until the next is due (-1: none).
local n, budget, max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not registered() then return { 'gone' } end
if not marked() then return { 'unmarked' } end
local out, into, keep, bytes = {}, {}, {}, 0
for _, entry in ipairs(call('ZRANGEBYSCORE', retry, '-inf', int(now), 'LIMIT', '0', int(n))) do
  if budget - bytes < max then break end
  local f = read(entry)
  call('ZREM', retry, entry)
  if not f then
    call('DEL', progress(entry))
  else
    bytes = bytes + #(f.payload or '') -- read, whatever becomes of it
    local seen = call('HGET', progress(entry), 'seen') or nows
    if validid(f.org_id) and call('ZSCORE', parked, f.org_id) then
      local list = into[f.org_id] or {}
      into[f.org_id] = list
      list[#list + 1] = seen
      list[#list + 1] = entry
    else
      keep[#keep + 1] = entry
      keep[#keep + 1] = seen
      out[#out + 1] = view(entry, f, seen, max)
    end
  end
end
hold(keep)
local orgs = parkall(into)
local nxt = call('ZRANGE', retry, '0', '0', 'WITHSCORES')
local wait = '-1'
if nxt[2] then wait = int(math.max(0, tonumber(nxt[2]) - now)) end
return { 'ok', out, orgs, wait }
