-- deliver, skip: held by me -> finished. ARGV[3] is the total to raise: 'delivered' keeps the id taken for 24 h, 'skipped' frees it.
-- Invariant: guarded by leaving held, so repeating it after a lost answer changes nothing, and what was taken over from me is not
-- counted twice. The entry leaves the stream in the step that counts it.
-- ARGV: total, then triples entry, organization, explicit id or ''. Reply: state, then 1 or 0 (not held any more) for each.
local total = ARGV[3]
if not registered() then return { 'gone' } end
local entries = {}
for i = 4, #ARGV, 3 do entries[#entries + 1] = ARGV[i] end
local is = call('HMGET', held, unpack(entries))
local out, mine, keys = {}, {}, {}
for i, entry in ipairs(entries) do
  if is[i] then
    out[i] = 1
    mine[#mine + 1] = entry
    keys[#keys + 1] = progress(entry)
    local at = 4 + (i - 1) * 3
    local org, id = ARGV[at + 1], ARGV[at + 2]
    if id ~= '' then
      local m = mark(org, id)
      if call('GET', m) == entry then
        if total == 'delivered' then call('SET', m, 'done', 'PX', '86400000') else call('DEL', m) end
      end
    end
  else
    out[i] = 0
  end
end
if #mine > 0 then
  call('HDEL', held, unpack(mine))
  call('DEL', unpack(keys))
  local gone = call('XDEL', events, unpack(mine))
  call('HINCRBY', books, total, int(gone)) -- what somebody removed from the stream meanwhile is in the difference, or written off
end
return { 'ok', out }
