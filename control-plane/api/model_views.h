// Models as the API shows them: each with its latest version and its example, all read together.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/api/api.h"

namespace mimeo::control {

// On a pool thread: one JSON text per model, in order. What is gone since a model was read is shown
// as null.
[[nodiscard]] Result<std::vector<std::string>> show_models(const ApiParts& parts, const Urls& urls,
                                                           const std::vector<store::Model>& models);
boost::asio::awaitable<Result<std::vector<std::string>>> models_json(
    Api& api, std::vector<store::Model> models);
boost::asio::awaitable<Result<std::string>> one_model_json(Api& api, store::Model model);

// "<external>/v1/models/<owner>/<name>" of a path that begins so, + `suffix`.
[[nodiscard]] std::string model_url(const Api& api, const Call& call, std::string_view suffix);

}  // namespace mimeo::control
