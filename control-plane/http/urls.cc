#include "control-plane/http/urls.h"

#include <utility>

#include "common/http/message.h"
#include "control-plane/public_links.h"
#include "control-plane/strings.h"

namespace mimeo::control {

Urls::Urls(std::string external_url) : external_(std::move(external_url)) {
  while (!external_.empty() && external_.back() == '/') external_.pop_back();
  api_ = external_ + "/v1";
}

std::string Urls::api(std::string_view path) const { return concat(api_, path); }

std::string Urls::prediction(PredictionId id) const {
  return concat(api_, "/predictions/", id.str());
}

std::string Urls::training(PredictionId id) const { return concat(api_, "/trainings/", id.str()); }

std::string Urls::prediction_page(PredictionId id) const {
  return concat(external_, "/p/", id.str());
}

std::string Urls::model_page(std::string_view owner, std::string_view name) const {
  return concat(external_, "/", http::percent_encode(owner), "/", http::percent_encode(name));
}

std::string Urls::stream(std::string_view token) const {
  const auto parsed = parse_stream_token(token);
  if (!parsed) return {};
  const std::string_view folder = parsed->kind == StreamKind::kFiles ? "/files/" : "/streams/";
  return concat(api_, folder, token);
}

std::string Urls::file(Uuid id) const { return concat(api_, "/files/", id.str()); }

}  // namespace mimeo::control
