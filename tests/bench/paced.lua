-- SPDX-License-Identifier: Apache-2.0
-- A steady load: each connection asks, waits for the answer and then PACE_MS.
local pace = tonumber(os.getenv("PACE_MS"))
function delay()
   return pace
end
dofile(os.getenv("REPORT_LUA"))
