// Texts made of texts and numbers. (Abseil's StrCat, as the distribution builds it, does not know
// std::string_view.)

#pragma once

#include <string>
#include <string_view>
#include <type_traits>

namespace mimeo::blobs {

template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  std::string out;
  const auto add = [&out](const auto& part) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(part)>>) {
      out += std::to_string(part);
    } else {
      out += std::string_view(part);
    }
  };
  (add(parts), ...);
  return out;
}

}  // namespace mimeo::blobs
