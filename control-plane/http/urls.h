// Every absolute URL that the API shows, from the external base URL that the operator set; never
// from the Host header of an internal hop.

#pragma once

#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace mimeo::control {

class Urls {
 public:
  // "https://mimeo.example"; a trailing slash is dropped.
  explicit Urls(std::string external_url);

  [[nodiscard]] const std::string& external() const { return external_; }
  // "<external>/v1" + `path`.
  [[nodiscard]] std::string api(std::string_view path) const;
  [[nodiscard]] std::string prediction(PredictionId id) const;
  [[nodiscard]] std::string training(PredictionId id) const;
  [[nodiscard]] std::string prediction_page(PredictionId id) const;  // For people.
  [[nodiscard]] std::string model_page(std::string_view owner, std::string_view name) const;
  // Under /v1/streams or /v1/files, as the token says; empty for an empty or foreign token.
  [[nodiscard]] std::string stream(std::string_view token) const;
  [[nodiscard]] std::string file(Uuid id) const;

 private:
  std::string external_;
  std::string api_;
};

}  // namespace mimeo::control
