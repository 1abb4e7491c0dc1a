-- SPDX-License-Identifier: Apache-2.0
-- What wrk measured, as one line of JSON with latencies in whole microseconds; "latencies" holds pairs
-- of a latency and how many requests had it.
function done(summary, latency, requests)
   local e = summary.errors
   local pairs_of = {}
   for i = 1, #latency do
      pairs_of[i] = string.format("[%d,%d]", latency(i))
   end
   io.write(string.format(
      'RESULT {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,' ..
      '"socket_errors":%d,"status_errors":%d,"timeouts":%d,' ..
      '"latencies":[%s]}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      latency.max, e.connect + e.read + e.write, e.status, e.timeout,
      table.concat(pairs_of, ",")))
end
