-- leased: lists what Redis says the caller holds. Changes nothing. After a lost reply a process
-- compares the list with what it has in memory.
-- ARGV: none.
-- Reply: state, entries.
if not registered() then return { 'fenced' } end
return { 'ok', call('HKEYS', held) }
