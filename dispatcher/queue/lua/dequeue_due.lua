-- dequeue_due: retry, due -> held by the caller; or parked, where others of the organization are
-- parked (in the order in which they were first seen).
-- Guard: an entry leaves retry in the step that puts it in another place. An entry that has left
-- the stream is dropped: the books' difference shows it.
-- ARGV: n, budget, max payload.
-- Reply: state, events, organizations with newly parked events, ms until the next is due (-1:
-- none).
local n, budget, max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not registered() then return { 'fenced' } end
if not initialized() then return { 'not_initialized' } end
local out, to_park, to_hold, bytes = {}, {}, {}, 0
for _, entry in ipairs(call('ZRANGEBYSCORE', retry, '-inf', int(now), 'LIMIT', '0', int(n))) do
  if budget - bytes < max then break end
  local f = read_entry(entry)
  call('ZREM', retry, entry)
  if not f then
    call('DEL', progress_key(entry))
  else
    bytes = bytes + #(f.payload or '') -- Redis read it, whatever becomes of the event
    local seen = first_seen(entry)
    if valid_id(f.org_id) and call('ZSCORE', parked_orgs, f.org_id) then
      local into = to_park[f.org_id] or {}
      to_park[f.org_id] = into
      into[#into + 1] = seen
      into[#into + 1] = entry
    else
      to_hold[#to_hold + 1] = entry
      to_hold[#to_hold + 1] = seen
      out[#out + 1] = describe(entry, f, seen, max)
    end
  end
end
hold(to_hold)
local orgs = park_all(to_park)
local next_due = call('ZRANGE', retry, '0', '0', 'WITHSCORES')
local wait = '-1'
if next_due[2] then wait = int(math.max(0, tonumber(next_due[2]) - now)) end
return { 'ok', out, orgs, wait }
