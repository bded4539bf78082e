#include "common/base/status.h"

#include <absl/strings/str_cat.h>

namespace mimeo {

Status with_context(const Status& status, std::string_view clause) {
  if (status.ok()) return status;
  Status out(status.code(),
             absl::StrCat(absl::string_view(clause.data(), clause.size()), ": ", status.message()));
  status.ForEachPayload(
      [&out](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

}  // namespace mimeo
