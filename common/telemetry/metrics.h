// Metrics in Prometheus' text format, by prometheus-cpp. One registry per process, made in main and
// passed down; served at /metrics by http/health_endpoints.
//
// Names: mimeo_<component>_<what>_<unit>, counters end in _total, durations in _seconds. Labels
// have few values: never ids of predictions or accounts.

#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mimeo {

// References returned live as long as the registry; asking again for the same name and labels gives
// the same metric. Safe from any thread.
class Metrics {
 public:
  Metrics();
  prometheus::Counter& counter(const std::string& name, const std::string& help,
                               const std::map<std::string, std::string>& labels = {});
  prometheus::Gauge& gauge(const std::string& name, const std::string& help,
                           const std::map<std::string, std::string>& labels = {});
  // Default buckets: 0.5 ms to 60 s, for latencies in seconds.
  prometheus::Histogram& histogram(const std::string& name, const std::string& help,
                                   const std::map<std::string, std::string>& labels = {},
                                   const std::vector<double>& buckets = {});
  // The exposition format 0.0.4.
  [[nodiscard]] std::string serialize() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace mimeo
