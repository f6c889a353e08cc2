-- The second half of the Function library: what a rebuild needs besides, and the loading of a snapshot. A rebuild folds the log
-- into keys of another generation, "{<city>}:<generation><suffix>", by the functions of the first half, and a snapshot is written
-- there; then these drop it, or put it in its place.

-- Every key of a generation but the sets of visitors.
local function all_suffixes()
  local suffixes = { 'meta', 'changes', 'repeats' }
  for _, suffix in ipairs(HASHES) do suffixes[#suffixes + 1] = suffix end
  for lane = 0, LANES - 1 do
    suffixes[#suffixes + 1] = 'seen:' .. lane
    suffixes[#suffixes + 1] = 'refused:' .. lane
  end
  return suffixes
end

-- Kept beside a state: what happened here, not what was sent. They join what is there and never replace it.
local BESIDE = { 'schemas', 'replayed' }

-- drop: ARGV generation. Removes what a rebuild or a load left.
local function drop(keys, args)
  if args[1] == '' then return corrupt('the live generation is not dropped') end
  local p = prefix(keys) .. args[1]
  local refused = forbidden('UNLINK', p .. 'meta')
  if refused then return refused end
  local gone = 0
  for _, day in ipairs(visitor_days(p)) do gone = gone + redis.call('UNLINK', p .. 'visitors:' .. day) end
  for _, suffix in ipairs(all_suffixes()) do gone = gone + redis.call('UNLINK', p .. suffix) end
  for _, suffix in ipairs(BESIDE) do gone = gone + redis.call('UNLINK', p .. suffix) end
  return { 'OK', text(gone) }
end

-- hold: ARGV seconds. For so long nothing is committed to the live generation, so that a rebuild can catch up with it.
local function hold(keys, args)
  local p = prefix(keys)
  if redis.call('EXISTS', p .. 'meta') == 0 then return { 'OK' } end
  redis.call('HSET', p .. 'meta', 'held_until', text(redis.call('TIME')[1] + args[1]))
  return { 'OK' }
end

-- A hash that may be spoilt, as a table; empty where it can't be read.
local function readable(key)
  local cells, found = redis.pcall('HGETALL', key), {}
  if cells.err then return found end
  for i = 1, #cells, 2 do found[cells[i]] = cells[i + 1] end
  return found
end

-- The generation's keys become the live ones, and of the live ones none is left that it does not have; of days' visitors
-- only from `first_day` on. Nothing here can fail.
local function take_place(p, g, first_day)
  for _, day in ipairs(visitor_days(p)) do
    if day >= first_day then redis.call('UNLINK', p .. 'visitors:' .. day) end
  end
  for _, day in ipairs(visitor_days(g)) do
    local key = g .. 'visitors:' .. day
    if redis.call('EXISTS', key) > 0 then
      if day >= first_day then
        redis.call('RENAME', key, p .. 'visitors:' .. day)
      else
        redis.call('UNLINK', key)
      end
    end
  end
  for _, suffix in ipairs(all_suffixes()) do
    if redis.call('EXISTS', g .. suffix) > 0 then
      redis.call('RENAME', g .. suffix, p .. suffix)
    else
      redis.call('UNLINK', p .. suffix)
    end
  end
end

-- swap: ARGV generation, its epoch, the new epoch, first day whose visits the log still had ('' = all), then for each
-- partition its field of `offsets` and the end of its log. Puts the generation in the place of the live one, all at once.
-- What only the live one knows goes with it: the visits of earlier days, gaps and clusters that were accepted, and where
-- page visits are gone, dead letters of them. The version goes on above both.
-- Answers {'OK', version} | {'EPOCH', stored} | {'BEHIND', field, live offset, …}: the live generation is ahead there.
local function swap(keys, args)
  local p = prefix(keys)
  local g = p .. args[1]
  local first_day = args[4]
  local epoch = redis.call('HGET', g .. 'meta', 'epoch')
  if args[1] == '' or epoch ~= args[2] then return { 'EPOCH', epoch or '' } end
  local live_offsets, offsets, ends = readable(p .. 'offsets'), readable(g .. 'offsets'), {}
  for i = 5, #args, 2 do ends[args[i]] = tonumber(args[i + 1]) end
  local behind = { 'BEHIND' }
  for field, value in pairs(live_offsets) do
    local live = integer(value)
    if live and ends[field] and live <= ends[field] and live > tonumber(offsets[field] or '0') then
      behind[#behind + 1] = field
      behind[#behind + 1] = value
    end
  end
  if #behind > 1 then return behind end

  local totals, live_totals = readable(g .. 'totals'), readable(p .. 'totals')
  local version = (integer(totals.version or '0') or 0)
  local live_version = integer(live_totals.version or '0') or 0
  if within(live_version) and live_version > version then version = live_version end
  version = version + 1
  if not within(version) then return corrupt('key ' .. p .. 'totals field version would leave the range of 9e14') end
  local meta, live_meta = readable(g .. 'meta'), readable(p .. 'meta')
  local now = redis.call('TIME')[1]
  local meta_writes = { 'epoch', args[3], 'rebuilt', now }
  for field, value in pairs(live_meta) do
    if string.find(field, '^cluster_accepted:') and not meta[field] then
      meta_writes[#meta_writes + 1] = field
      meta_writes[#meta_writes + 1] = value
    end
  end
  if first_day ~= '' then
    meta_writes[#meta_writes + 1] = 'visits_carried_before'
    meta_writes[#meta_writes + 1] = first_day
  end
  local gap_writes, gaps = {}, readable(g .. 'gaps')
  for field, value in pairs(readable(p .. 'gaps')) do
    if not gaps[field] then
      gap_writes[#gap_writes + 1] = field
      gap_writes[#gap_writes + 1] = value
    end
  end

  local day_writes, day_deletes, visits, live_days = {}, {}, 0, readable(p .. 'visits:by-day')
  local letter_writes, letters = {}, 0
  for day, value in pairs(readable(g .. 'visits:by-day')) do
    if day < first_day then
      if not live_days[day] then day_deletes[#day_deletes + 1] = day end
    else
      visits = visits + tonumber(value)
    end
  end
  local reasons = readable(g .. 'dead-letters')
  if first_day ~= '' then
    for day, value in pairs(live_days) do
      local number = day < first_day and integer(value)
      if number and within(number) then
        day_writes[#day_writes + 1] = day
        day_writes[#day_writes + 1] = value
        visits = visits + number
      end
    end
    for reason, value in pairs(readable(p .. 'dead-letters')) do
      local number = integer(value)
      if number and within(number) and number > tonumber(reasons[reason] or '0') then
        reasons[reason] = value
        letter_writes[#letter_writes + 1] = reason
        letter_writes[#letter_writes + 1] = value
      end
    end
    local closed, live_closed = integer(meta.visitors_closed or ''), integer(live_meta.visitors_closed or '')
    if live_closed and (not closed or live_closed > closed) then
      meta_writes[#meta_writes + 1] = 'visitors_closed'
      meta_writes[#meta_writes + 1] = live_meta.visitors_closed
    end
  end
  for _, value in pairs(reasons) do letters = letters + tonumber(value) end

  local may_not
  local function ask(...) may_not = may_not or forbidden(...) end
  ask('RENAME', g .. 'totals', p .. 'totals')
  ask('UNLINK', p .. 'totals')
  ask('HSET', g .. 'totals', 'f', 'v')
  ask('HDEL', g .. 'totals', 'f')
  if may_not then return may_not end

  -- From here on nothing can fail: write.
  call_in_parts('HSET', g .. 'meta', meta_writes)
  redis.call('HDEL', g .. 'meta', 'built_by')
  redis.call('HSET', g .. 'totals', 'version', text(version), 'visits', text(visits), 'dead_letters', text(letters))
  if #gap_writes > 0 then call_in_parts('HSET', g .. 'gaps', gap_writes) end
  if #letter_writes > 0 then call_in_parts('HSET', g .. 'dead-letters', letter_writes) end
  if #day_deletes > 0 then call_in_parts('HDEL', g .. 'visits:by-day', day_deletes) end
  if #day_writes > 0 then call_in_parts('HSET', g .. 'visits:by-day', day_writes) end
  take_place(p, g, first_day)
  return { 'OK', text(version) }
end

-- The first key of a city that something was folded into, or nil.
local function first_key(p)
  for _, suffix in ipairs(all_suffixes()) do
    if suffix ~= 'meta' and redis.call('EXISTS', p .. suffix) > 0 then return p .. suffix end
  end
  for _, day in ipairs(visitor_days(p)) do
    if redis.call('EXISTS', p .. 'visitors:' .. day) > 0 then return p .. 'visitors:' .. day end
  end
end

-- place: ARGV generation, its epoch, the new epoch, 'replace' or ''. Puts a generation that was loaded from a snapshot in the
-- place of the live one, all at once; without 'replace' only where nothing was folded yet.
-- Answers {'OK', version} | {'EPOCH', stored} | {'TAKEN', key}.
local function place(keys, args)
  local p = prefix(keys)
  local g = p .. args[1]
  local epoch = redis.call('HGET', g .. 'meta', 'epoch')
  if args[1] == '' or epoch ~= args[2] then return { 'EPOCH', epoch or '' } end
  local taken = args[4] ~= 'replace' and first_key(p)
  if taken then return { 'TAKEN', taken } end
  local loaded = integer(redis.call('HGET', g .. 'totals', 'version') or '0') or 0
  local version, live_version = loaded, integer(readable(p .. 'totals').version or '0') or 0
  if within(live_version) and live_version >= version then version = live_version + 1 end
  if not within(version) then return corrupt('key ' .. p .. 'totals field version would leave the range of 9e14') end
  local live_schemas = readable(p .. 'schemas')
  for id, meaning in pairs(readable(g .. 'schemas')) do
    if live_schemas[id] and live_schemas[id] ~= meaning then
      return corrupt('key ' .. p .. 'schemas field ' .. id .. ' means another schema here than in the snapshot')
    end
  end

  local may_not
  local function ask(...) may_not = may_not or forbidden(...) end
  ask('RENAME', g .. 'totals', p .. 'totals')
  ask('UNLINK', p .. 'totals')
  ask('HSET', g .. 'totals', 'f', 'v')
  ask('HDEL', g .. 'meta', 'f')
  ask('HSETNX', p .. 'schemas', 'f', 'v')
  ask('HSETNX', p .. 'replayed', 'f', 'v')
  if may_not then return may_not end

  -- From here on nothing can fail: write.
  redis.call('HSET', g .. 'meta', 'epoch', args[3], 'loaded', redis.call('TIME')[1] .. ' version ' .. text(loaded))
  redis.call('HDEL', g .. 'meta', 'built_by')
  if redis.call('EXISTS', g .. 'totals') > 0 then redis.call('HSET', g .. 'totals', 'version', text(version)) end
  take_place(p, g, '')
  for _, suffix in ipairs(BESIDE) do
    for field, value in pairs(readable(g .. suffix)) do redis.call('HSETNX', p .. suffix, field, value) end
    redis.call('UNLINK', g .. suffix)
  end
  return { 'OK', text(version) }
end

redis.register_function('citytotals_place_@ID@', place)
redis.register_function('citytotals_drop_@ID@', drop)
redis.register_function('citytotals_hold_@ID@', hold)
redis.register_function('citytotals_swap_@ID@', swap)
