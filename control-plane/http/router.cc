#include "control-plane/http/router.h"

#include <algorithm>
#include <utility>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

// The segments that count: without empty ones, without what clients wrongly put before the path,
// and without the API's prefix.
std::vector<std::string_view> normalize(const std::vector<std::string>& segments) {
  std::vector<std::string_view> out;
  out.reserve(segments.size());
  for (const std::string& segment : segments) {
    if (!segment.empty()) out.emplace_back(segment);
  }
  std::size_t skip = 0;
  const auto skip_prefix = [&] {
    for (int i = 0; i < 2 && skip < out.size() && out[skip] == "v1"; ++i) ++skip;
  };
  skip_prefix();
  if (skip + 1 < out.size() && (out[skip] == "https:" || out[skip] == "http:")) {
    skip += 2;  // The scheme and the host of an embedded absolute URL.
    skip_prefix();
  }
  out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(skip));
  return out;
}

bool serves(const Route& route, std::string_view method) {
  return route.method == method || (method == "HEAD" && route.method == "GET");
}

void append_method(std::string& list, std::string_view method) {
  for (const std::string_view known : split(list, ", ")) {
    if (known == method) return;
  }
  if (!list.empty()) list.append(", ");
  list.append(method);
}

}  // namespace

void Router::add(Route route) {
  Pattern pattern;
  pattern.route = routes_.size();
  for (const std::string_view piece : split(route.pattern, "/")) {
    if (piece.empty()) continue;
    Part part;
    if (piece.front() != '{') {
      part.literal = piece;
    } else if (const auto colon = piece.find(':'); colon != std::string_view::npos) {
      const std::string_view length = piece.substr(colon + 1, piece.size() - colon - 2);
      part.length = parse_number<std::size_t>(length).value_or(0);
    }
    pattern.parts.push_back(std::move(part));
  }
  if (by_length_.size() <= pattern.parts.size()) by_length_.resize(pattern.parts.size() + 1);
  by_length_[pattern.parts.size()].push_back(std::move(pattern));
  routes_.push_back(std::move(route));
}

void Router::add(std::vector<Route> routes) {
  for (Route& route : routes) add(std::move(route));
}

bool Router::matches(const Pattern& pattern, const std::vector<std::string_view>& segments) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Part& part = pattern.parts[i];
    if (part.literal.empty()) {
      if (part.length != 0 && segments[i].size() != part.length) return false;
    } else if (segments[i] != part.literal) {
      return false;
    }
  }
  return true;
}

Match Router::find(std::string_view method, const std::vector<std::string>& raw) const {
  const std::vector<std::string_view> segments = normalize(raw);
  Match match;
  if (segments.size() >= by_length_.size()) return match;
  for (const Pattern& pattern : by_length_[segments.size()]) {
    if (!matches(pattern, segments)) continue;
    const Route& route = routes_[pattern.route];
    if (!serves(route, method)) {
      append_method(match.allow, route.method);
      if (route.method == "GET") append_method(match.allow, "HEAD");
      if (route.cors == Cors::kAnyOrigin) match.cors = route.cors;
      continue;
    }
    match.route = &route;
    match.cors = route.cors;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (pattern.parts[i].literal.empty()) match.params.emplace_back(segments[i]);
    }
    return match;
  }
  return match;
}

}  // namespace mimeo::control
