// /files: list, read, delete, signed download. file_upload.cc creates them.

#include <algorithm>
#include <utility>

#include "common/crypto/crypto.h"
#include "control-plane/api/file_links.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/content.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 100;

boost::asio::awaitable<Result<store::File>> read_file(Api& api, std::string id, AccountId account) {
  const Result<store::FileId> parsed = store::FileId::parse(id);
  if (!parsed.ok()) co_return absl::NotFoundError("no such file");
  auto read = [files = &api.parts.files, id = *parsed, account, now = api.parts.clock.now()] {
    return files->get_file(id, account, now);
  };
  co_return co_await api.parts.pool.run(std::move(read));
}

}  // namespace

std::string sign_file_link(const store::Account& owner, store::FileId id, std::int64_t expiry) {
  return crypto::base64(
      crypto::hmac_sha256(owner.file_secret, concat(owner.username, " ", id.str(), " ", expiry)));
}

Answer list_files(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  store::FilesStart start;
  if (cursor) {
    const Result<store::FileId> id = store::FileId::parse(cursor->position);
    if (!id.ok() || id->is_nil()) co_return bad_cursor();
    start.id = *id;
    start.is_backward = cursor->direction == PageDirection::kBackward;
  }
  auto read = [files = &api.parts.files, account = call.viewer(), start,
               now = api.parts.clock.now()] {
    return files->list_files(account, start, now, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::File> files,
                            co_await api.parts.pool.run(std::move(read)));
  const PageLinks links(api.urls.api("/files"), *call.head);
  const PageEnds ends = end_page(files, kPageSize, cursor, links,
                                 [](const store::File& file) { return file.id.str(); });
  std::vector<std::string> results;
  for (const store::File& file : files) results.push_back(file_json(file, api.urls));
  co_return json_response(200, page_json(ends.next, ends.previous, results));
}

Answer get_file(Api& api, Call& call) {
  const Result<store::File> file = co_await read_file(api, call.param(0), call.viewer());
  if (absl::IsNotFound(file.status())) co_return problem::file_not_found();
  if (!file.ok()) co_return file.status();
  co_return json_response(200, file_json(*file, api.urls));
}

Answer delete_file(Api& api, Call& call) {
  const Result<store::File> file = co_await read_file(api, call.param(0), call.viewer());
  if (absl::IsNotFound(file.status())) co_return problem::file_not_found();
  if (!file.ok()) co_return file.status();
  // Its content goes with the last file that has it.
  auto remove = [files = &api.parts.files, id = file->id, account = file->account] {
    return files->delete_file(id, account);
  };
  const Status removed = co_await api.parts.pool.run(std::move(remove));
  if (absl::IsNotFound(removed)) co_return problem::file_not_found();
  if (!removed.ok()) co_return removed;
  co_return empty_response(204);
}

namespace {

// The file that a signed link opens; kNotFound for whatever is wrong with it.
boost::asio::awaitable<Result<store::File>> opened_by_link(Api& api, Call& call) {
  const Status refused = absl::NotFoundError("the link opens nothing");
  const std::string owner(call.head->parameter("owner").value_or(""));
  const std::string signature(call.head->parameter("signature").value_or(""));
  const auto expiry = parse_number<std::int64_t>(call.head->parameter("expiry").value_or(""));
  if (!expiry) co_return refused;
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(api.parts.clock.now().time_since_epoch());
  if (*expiry < now.count()) co_return refused;
  auto read_account = [catalog = &api.parts.catalog, owner] {
    return catalog->get_account_by_username(owner);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Account account,
                            co_await api.parts.pool.run(std::move(read_account)));
  if (account.disabled_at) co_return refused;
  MIMEO_CO_ASSIGN_OR_RETURN(store::File file, co_await read_file(api, call.param(0), account.id));
  // '+' of base64 may have come as a blank.
  std::string given = signature;
  std::replace(given.begin(), given.end(), ' ', '+');
  if (!crypto::equal(given, sign_file_link(account, file.id, *expiry))) co_return refused;
  co_return file;
}

}  // namespace

ExchangeAnswer download_file(Api& api, Call& call, http::Exchange& exchange) {
  const auto place = api.downloads.take();
  if (!place) co_return absl::ResourceExhaustedError("too many downloads at once");
  const Result<store::File> file = co_await opened_by_link(api, call);
  if (absl::IsNotFound(file.status())) co_return problem::file_not_found();
  if (!file.ok()) co_return file.status();
  auto open = [blobs = &api.parts.blobs, key = file->blob_key] { return blobs->open(key); };
  Result<std::unique_ptr<blobs::BlobReader>> reader =
      co_await api.parts.transfers.run(std::move(open));
  if (absl::IsNotFound(reader.status())) co_return problem::file_not_found();
  if (!reader.ok()) co_return reader.status();
  ContentHead head;
  head.content_type = "application/octet-stream";
  head.etag = file->md5_hex;
  head.modified_at = file->created_at;
  head.headers.set("X-Content-Type-Options", "nosniff");
  head.headers.set("Content-Disposition",
                   "attachment; filename*=UTF-8''" + http::percent_encode(file->name));
  std::shared_ptr<blobs::BlobReader> shared = *std::move(reader);
  co_return co_await serve_content(&api.parts.transfers, &exchange, std::move(shared),
                                   std::move(head));
}

}  // namespace mimeo::control
