-- deliver: held by the caller -> finished, as delivered or skipped.
-- Guard: leaving held. So repeating the step after a lost reply changes nothing, and an event that
-- was recovered from the caller is not counted twice. The entry leaves the stream in the step that
-- counts it.
-- ARGV: the total to raise: 'delivered' keeps the id taken for 24 h, 'skipped' frees it; then
-- stride 3: entry, organization, explicit id or ''.
-- Reply: state, 1 or 0 (no longer held) for each.
local total = ARGV[3]
if not registered() then return { 'fenced' } end
local entries = {}
for i = 4, #ARGV, 3 do entries[#entries + 1] = ARGV[i] end
local still_held = call('HMGET', held, unpack(entries))
local out, mine, keys = {}, {}, {}
for i, entry in ipairs(entries) do
  if still_held[i] then
    out[i] = 1
    mine[#mine + 1] = entry
    keys[#keys + 1] = progress_key(entry)
    local at = 4 + (i - 1) * 3
    local org, id = ARGV[at + 1], ARGV[at + 2]
    if id ~= '' then
      local m = mark_key(org, id)
      if call('GET', m) == entry then
        if total == 'delivered' then call('SET', m, 'done', 'PX', DAY_TEXT) else call('DEL', m) end
      end
    end
  else
    out[i] = 0
  end
end
if #mine > 0 then
  call('HDEL', held, unpack(mine))
  call('DEL', unpack(keys))
  -- Only what the stream still had is counted: the rest is in the difference already, or written
  -- off.
  local removed = call('XDEL', events, unpack(mine))
  call('HINCRBY', books, total, int(removed))
end
return { 'ok', out }
