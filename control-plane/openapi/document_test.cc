#include "control-plane/openapi/document.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace mimeo::control {
namespace {

using Json = nlohmann::ordered_json;

Json merged() {
  const Result<Json> document = merge_openapi(openapi_fragments(), "https://mimeo.example/");
  EXPECT_TRUE(document.ok()) << document.status();
  return document.value_or(Json::object());
}

Status status_of(std::vector<OpenApiFragment> fragments) {
  return merge_openapi(fragments, "https://x").status();
}

// Calls `visit(place, value)` for every object in `value`, itself included.
template <class Visit>
void walk(const std::string& place, const Json& value, const Visit& visit) {
  if (value.is_object()) visit(place, value);
  if (!value.is_structured()) return;
  for (const auto& [key, inner] : value.items()) walk(place + "/" + key, inner, visit);
}

template <class Visit>
void for_each_operation(const Json& document, const Visit& visit) {
  const std::set<std::string> methods{"get", "post", "put", "patch", "delete", "x-query"};
  for (const auto& [path, item] : document["paths"].items()) {
    for (const auto& [key, operation] : item.items()) {
      if (methods.contains(key)) visit(key + " " + path, item, operation);
    }
  }
}

TEST(OpenApi, TheServerIsTheExternalUrl) {
  EXPECT_EQ(merged()["servers"], Json::parse(R"([{"url":"https://mimeo.example/v1"}])"));
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const Json document = merged();
  walk("#", document, [&](const std::string& place, const Json& value) {
    if (!value.contains("$ref")) return;
    const std::string target = value["$ref"];
    ASSERT_TRUE(target.starts_with("#/")) << place << ": " << target;
    EXPECT_TRUE(document.contains(Json::json_pointer(target.substr(1)))) << place << ": " << target;
  });
}

TEST(OpenApi, EveryComponentIsUsed) {
  const Json document = merged();
  std::set<std::string> used;
  walk("#", document, [&](const std::string&, const Json& value) {
    if (value.contains("$ref")) used.insert(value["$ref"].get<std::string>());
  });
  for (const auto& [kind, named] : document["components"].items()) {
    if (kind == "securitySchemes") continue;
    for (const auto& [name, value] : named.items()) {
      EXPECT_TRUE(used.contains("#/components/" + kind + "/" + name)) << kind << "/" << name;
    }
  }
}

TEST(OpenApi, EveryOperationHasANameOfItsOwnAndItsParameters) {
  std::map<std::string, std::string> seen;
  const Json document = merged();
  for_each_operation(document, [&](const std::string& what, const Json& item,
                                   const Json& operation) {
    ASSERT_TRUE(operation.contains("operationId")) << what;
    const std::string id = operation["operationId"];
    EXPECT_TRUE(seen.emplace(id, what).second) << id << ": " << what << " and " << seen[id];
    EXPECT_TRUE(operation.contains("tags") && operation.contains("summary")) << what;
    std::set<std::string> in_path;
    for (const Json* list : {&item, &operation}) {
      for (const Json& parameter : list->value("parameters", Json::array())) {
        Json resolved = parameter;
        if (parameter.contains("$ref")) {
          resolved =
              document.at(Json::json_pointer(parameter["$ref"].get<std::string>().substr(1)));
        }
        if (resolved["in"] == "path")
          in_path.insert("{" + resolved["name"].get<std::string>() + "}");
      }
    }
    std::set<std::string> named;
    for (std::size_t at = what.find('{'); at != std::string::npos; at = what.find('{', at + 1)) {
      named.insert(what.substr(at, what.find('}', at) - at + 1));
    }
    EXPECT_EQ(named, in_path) << what;
  });
}

TEST(OpenApi, EveryOperationSaysWhatAnyRequestMayBeAnsweredWith) {
  for_each_operation(merged(), [](const std::string& what, const Json&, const Json& operation) {
    const Json& responses = operation["responses"];
    for (const char* status : {"400", "408", "413", "431", "500", "503"}) {
      EXPECT_TRUE(responses.contains(status)) << what << " " << status;
    }
    const bool needs_token = !operation.contains("security");
    EXPECT_EQ(responses.contains("401"), needs_token) << what;
    EXPECT_EQ(responses.contains("403"), needs_token) << what;
  });
}

TEST(OpenApi, FragmentsMayShareAPathButNotAnOperation) {
  const OpenApiFragment get{"a", R"({"paths":{"/x":{"get":{"responses":{}}}}})"};
  const OpenApiFragment post{"b", R"({"paths":{"/x":{"post":{"responses":{}}}}})"};
  EXPECT_EQ(status_of({get, post}), absl::OkStatus());
  EXPECT_EQ(status_of({get, {"c", get.json}}).message(),
            "c.json describes get /x, which another fragment describes");
}

TEST(OpenApi, AComponentIsDescribedOnce) {
  const OpenApiFragment one{"a", R"({"components":{"schemas":{"X":{}}}})"};
  EXPECT_EQ(status_of({one, {"b", one.json}}).message(),
            "b.json describes schemas/X, which another fragment describes");
}

TEST(OpenApi, AFragmentIsAnObjectOfPathsAndComponents) {
  EXPECT_EQ(status_of({{"a", "{"}}).message(), "a.json is not a JSON object");
  EXPECT_EQ(status_of({{"a", R"({"info":{}})"}}).message(),
            "a.json has more than paths and components");
}

}  // namespace
}  // namespace mimeo::control
