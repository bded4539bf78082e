#include "common/http/outbound.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "common/http/address_rules.h"

namespace mimeo::http {
namespace {

constexpr std::size_t kIdleHandles = 16;
constexpr long kConnectTimeoutMs = 10'000;
constexpr long kStalledBytesPerSecond = 1'024;  // Fewer are next to nothing.
constexpr std::size_t kMaxHeaderBytes = 256UL << 10U;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using FieldList = std::unique_ptr<curl_slist, FreeList>;

std::string url_part(const Url& url, CURLUPart part, unsigned int flags) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return "";
  std::string value(text);
  curl_free(text);
  return value;
}

Result<Url> parse_url(const std::string& text) {
  Url url(curl_url());
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  if (code != CURLUE_OK) {
    return absl::InvalidArgumentError(std::string("not a URL: ") + curl_url_strerror(code));
  }
  const std::string scheme = url_part(url, CURLUPART_SCHEME, 0);
  if (scheme != "http" && scheme != "https") {
    return absl::InvalidArgumentError("only http and https URLs can be reached");
  }
  return url;
}

bool has_line_end(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// One hop: what curl's callbacks see.
struct Transfer {
  const AddressRules* rules = nullptr;
  bool is_exempt = false;    // The host is named in the rules.
  bool was_refused = false;  // By the rules, at least once.
  bool was_port_refused = false;
  std::uint64_t max_response = 0;
  Oversize oversize = Oversize::kFails;
  std::uint64_t received = 0;
  std::size_t header_bytes = 0;
  bool is_too_large = false;
  bool is_cut_off = false;
  const BodySink* sink = nullptr;      // Of download().
  const BodySource* source = nullptr;  // Of upload().
  std::uint64_t sent = 0;              // Of that.
  Status stream_status;                // Of the sink or the source.
  std::stop_token request_stop;
  std::stop_token owner_stop;
  CURL* curl = nullptr;
  Response response;

  [[nodiscard]] bool is_stopped() const {
    return request_stop.stop_requested() || owner_stop.stop_requested();
  }
};

curl_socket_t open_socket(void* context, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(context);
  const AddressRules& rules = *transfer->rules;
  const bool is_inet = address->family == AF_INET || address->family == AF_INET6;
  const bool is_exempt =
      is_inet && (transfer->is_exempt || is_allowed_network(rules, &address->addr));
  const bool is_allowed =
      is_exempt || (is_inet && (rules.allow_private || is_public_address(&address->addr)));
  if (!is_allowed) {
    transfer->was_refused = true;
    return CURL_SOCKET_BAD;
  }
  if (!is_exempt && !is_allowed_port(rules, port_of(&address->addr))) {
    transfer->was_port_refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* context) {
  auto* transfer = static_cast<Transfer*>(context);
  transfer->header_bytes += size;
  if (transfer->header_bytes > kMaxHeaderBytes) {
    transfer->is_too_large = true;
    return 0;
  }
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // A new head: after 100 Continue, for instance.
    transfer->response.headers = Headers{};
    return size;
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  transfer->response.headers.add(std::string(line.substr(0, colon)), std::string(value));
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* context) {
  auto* transfer = static_cast<Transfer*>(context);
  transfer->received += size;
  if (transfer->received > transfer->max_response) {
    if (transfer->oversize == Oversize::kIsCutOff) {
      transfer->response.body.append(data, size - (transfer->received - transfer->max_response));
      transfer->is_cut_off = true;
      return 0;
    }
    transfer->is_too_large = true;
    return 0;
  }
  if (transfer->sink != nullptr) {
    long code = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code / 100 == 2) {
      transfer->stream_status = (*transfer->sink)(std::string_view(data, size));
      return transfer->stream_status.ok() ? size : 0;
    }
  }
  std::string& body = transfer->response.body;
  if (body.empty()) {  // Room for all of it at once: growing would take twice as much.
    curl_off_t length = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0) {
      body.reserve(std::min(static_cast<std::uint64_t>(length), transfer->max_response));
    }
  }
  body.append(data, size);
  return size;
}

std::size_t on_read(char* buffer, std::size_t, std::size_t size, void* context) {
  auto* transfer = static_cast<Transfer*>(context);
  const Result<std::size_t> count = transfer->source->read(transfer->sent, {buffer, size});
  if (!count.ok()) {
    transfer->stream_status = count.status();
    return CURL_READFUNC_ABORT;
  }
  transfer->sent += *count;
  return *count;
}

int on_seek(void* context, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(context)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// About once a second, also while nothing moves.
int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const Transfer*>(context)->is_stopped() ? 1 : 0;
}

Status transfer_error(const Transfer& transfer, CURLcode code, const std::string& detail) {
  const std::string text = detail.empty() ? curl_easy_strerror(code) : detail;
  if (!transfer.stream_status.ok()) return transfer.stream_status;
  if (transfer.is_too_large) return absl::ResourceExhaustedError("the answer is too large");
  if (transfer.was_refused) {
    return absl::PermissionDeniedError("the address is not a public one");
  }
  if (transfer.was_port_refused) {
    return absl::PermissionDeniedError("the port is neither 80 nor 443 and below 1024");
  }
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::InvalidArgumentError(text);
    case CURLE_ABORTED_BY_CALLBACK:
      return absl::CancelledError("stopped");
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(text);
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
    case CURLE_OUT_OF_MEMORY:  // What curl says of a field of the head that is too large for it.
      return absl::ResourceExhaustedError("the answer is too large");
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return absl::InternalError(text);
    default:
      return absl::UnavailableError(text);
  }
}

Result<FieldList> field_list(const Headers& headers) {
  FieldList list;
  const auto append = [&list](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    static_cast<void>(list.release());
    list.reset(longer);
  };
  for (const auto& [name, value] : headers.fields()) {
    if (has_line_end(name) || has_line_end(value)) {
      return absl::InvalidArgumentError("a line end in the field " + name);
    }
    append(value.empty() ? name + ";" : name + ": " + value);  // curl's spelling of an empty one.
  }
  append("Expect:");  // No waiting for 100 Continue before large bodies.
  if (!headers.find("Content-Type")) append("Content-Type:");  // Not curl's form default.
  return list;
}

void set_method(CURL* curl, const std::string& method, const std::string& body) {
  const bool may_send = method == "POST" || method == "PUT" || method == "PATCH" || !body.empty();
  if (method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (may_send) {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  } else {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
}

void set_source(CURL* curl, const std::string& method, Transfer& transfer) {
  curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
  curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                   static_cast<curl_off_t>(transfer.source->size_bytes));
}

void set_fixed_options(CURL* curl, Transfer& transfer) {
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  // A proxy from the environment would hide the address that the rules are about.
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "mimeo/0.1");
  curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 4L);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
}

void set_limits(CURL* curl, const OutboundRequest& request, std::chrono::milliseconds timeout) {
  const auto all = static_cast<long>(timeout.count());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, all);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, std::min<long>(kConnectTimeoutMs, all));
  if (request.stall_limit.count() == 0) return;
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kStalledBytesPerSecond);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_limit.count()));
}

// What the next hop of a redirect asks for (RFC 9110 section 15.4, as browsers do it).
Status follow(OutboundRequest& request, const Url& from, const Response& answer) {
  Url next(curl_url_dup(from.get()));
  const std::string location(answer.headers.get("Location"));
  if (curl_url_set(next.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError("redirected to something that is not a URL");
  }
  const auto origin = [](const Url& url) {
    return url_part(url, CURLUPART_SCHEME, 0) + "://" + url_part(url, CURLUPART_HOST, 0) + ":" +
           url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  };
  if (origin(next) != origin(from)) {  // Secrets are for the host they were given for.
    request.headers.remove("Authorization");
    request.headers.remove("Cookie");
  }
  const bool becomes_get =
      answer.status == 303 || (answer.status < 303 && request.method == "POST");
  if (becomes_get && request.method != "HEAD") {
    request.method = "GET";
    request.body.clear();
    request.headers.remove("Content-Type");
    request.headers.remove("Content-Length");
  }
  request.url = url_part(next, CURLUPART_URL, 0);
  return absl::OkStatus();
}

bool is_redirect(const Response& answer) {
  return (answer.status == 301 || answer.status == 302 || answer.status == 303 ||
          answer.status == 307 || answer.status == 308) &&
         answer.headers.find("Location");
}

}  // namespace

// Handles keep their connections, which were opened under this object's rules only.
class Outbound::Pool {
 public:
  Pool() {
    static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
    static_cast<void>(initialized);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    for (CURL* curl : idle_) curl_easy_cleanup(curl);
  }

  CURL* take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return curl_easy_init();
    CURL* curl = idle_.back();
    idle_.pop_back();
    return curl;
  }
  void give_back(CURL* curl) {
    curl_easy_reset(curl);  // Keeps connections and the DNS cache.
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleHandles) {
      idle_.push_back(curl);
    } else {
      curl_easy_cleanup(curl);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<CURL*> idle_;  // Guarded by mutex_.
};

AddressRules any_address() {
  AddressRules rules;
  rules.allow_private = true;
  return rules;
}

Outbound::Outbound(AddressRules rules, std::stop_token stop)
    : rules_(std::move(rules)), stop_(std::move(stop)), pool_(std::make_shared<Pool>()) {}

Result<Response> Outbound::hop(const OutboundRequest& request, Streams streams,
                               std::chrono::milliseconds timeout) const {
  if (has_line_end(request.url) || has_line_end(request.method)) {
    return absl::InvalidArgumentError("a line end in the URL or the method");
  }
  MIMEO_ASSIGN_OR_RETURN(const Url url, parse_url(request.url));
  MIMEO_ASSIGN_OR_RETURN(const FieldList fields, field_list(request.headers));
  Transfer transfer;
  transfer.rules = &rules_;
  transfer.is_exempt = is_allowed_host(rules_, url_part(url, CURLUPART_HOST, 0),
                                       url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
  transfer.max_response = request.max_response.count;
  transfer.oversize = request.oversize;
  transfer.request_stop = request.stop;
  transfer.owner_stop = stop_;
  transfer.sink = streams.sink;
  transfer.source = streams.source;
  CURL* curl = pool_->take();
  if (curl == nullptr) return absl::InternalError("libcurl gives no handle");
  transfer.curl = curl;
  char error[CURL_ERROR_SIZE] = {};
  set_fixed_options(curl, transfer);
  if (streams.source != nullptr) {
    set_source(curl, request.method, transfer);
  } else {
    set_method(curl, request.method, request.body);
  }
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields.get());
  set_limits(curl, request, timeout);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  pool_->give_back(curl);
  if (code != CURLE_OK && !transfer.is_cut_off) return transfer_error(transfer, code, error);
  transfer.response.status = static_cast<int>(status);
  return std::move(transfer.response);
}

Result<Response> Outbound::run(const OutboundRequest& request, const BodySink* sink) const {
  const Streams streams{sink, nullptr};
  if (request.max_redirects == 0) return hop(request, streams, request.timeout);
  OutboundRequest current = request;
  const auto deadline = std::chrono::steady_clock::now() + request.timeout;
  for (int hops = 0;; ++hops) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("timed out");
    MIMEO_ASSIGN_OR_RETURN(Response answer, hop(current, streams, left));
    if (!is_redirect(answer)) return answer;
    if (hops >= request.max_redirects) return absl::UnavailableError("too many redirects");
    MIMEO_ASSIGN_OR_RETURN(const Url from, parse_url(current.url));
    MIMEO_RETURN_IF_ERROR(follow(current, from, answer));
  }
}

Result<Response> Outbound::perform(const OutboundRequest& request) const {
  return run(request, nullptr);
}

Result<Response> Outbound::download(const OutboundRequest& request, const BodySink& sink) const {
  return run(request, &sink);
}

Result<Response> Outbound::upload(const OutboundRequest& request, const BodySource& body) const {
  return hop(request, Streams{nullptr, &body}, request.timeout);
}

}  // namespace mimeo::http
