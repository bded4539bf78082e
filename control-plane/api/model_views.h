// Models as the API shows them: each with its latest version and its example, all read together.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/api/api.h"
#include "control-plane/http/call.h"
#include "control-plane/http/paging.h"

namespace mimeo::control {

// The model of the path as it is now, for calls that show or change it. kNotFound also when the
// caller may not see it.
boost::asio::awaitable<Result<store::Model>> read_model(Api& api, Call& call);
// kPermissionDenied for a model that one may see but not change.
boost::asio::awaitable<Result<store::Model>> read_own_model(Api& api, Call& call);

// As a call for just this model shows it: with its whole default example.
boost::asio::awaitable<Result<std::string>> one_model_json(Api& api, store::Model model);

// A default example with more content is null in lists.
inline constexpr std::size_t kMaxListedExample = 64U << 10;

// What becomes of models behind those whose versions and examples fill kMaxPageBytes.
enum class Overflow : std::uint8_t {
  kIsEmpty,  // An empty text: the page ends there (page_of()).
  kHasLess,  // Shown without version and example: the list has no other page.
};

// On a pool thread: one JSON text per model, in order, and what they were made of. What is gone
// since a model was read is shown as null.
struct ListedModels {
  std::vector<std::string> texts;
  std::vector<store::ModelFacts> facts;
};
[[nodiscard]] Result<ListedModels> list_models_json(const ApiParts& parts, const Urls& urls,
                                                    const std::vector<store::Model>& models,
                                                    Overflow overflow);
// The texts of the models of a page that begins at `cursor`, which are in the order of the list.
boost::asio::awaitable<Result<std::vector<std::string>>> model_page_texts(
    Api& api, std::vector<store::Model> models, std::optional<Cursor> cursor);

// "<external>/v1/models/<owner>/<name>" of a path that begins so, + `suffix`.
[[nodiscard]] std::string model_url(const Api& api, const Call& call, std::string_view suffix);

}  // namespace mimeo::control
