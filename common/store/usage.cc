#include "common/store/usage.h"

namespace mimeo::store {

std::string_view to_string(UsageKind kind) {
  switch (kind) {
    case UsageKind::kDeployment:
      return "deployment";
    case UsageKind::kPrivateModel:
      return "private_model";
    case UsageKind::kPublicModel:
      return "public_model";
    case UsageKind::kTraining:
      return "training";
    case UsageKind::kEarlier:
      return "earlier";
  }
  return "unknown";
}

WallTime month_begin(WallTime at) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(at));
  return WallTime(std::chrono::sys_days(day.year() / day.month() / 1));
}

WallTime month_end(WallTime at) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(at));
  return WallTime(std::chrono::sys_days(day.year() / day.month() / 1 + std::chrono::months{1}));
}

}  // namespace mimeo::store
