#include <future>
#include <string>
#include <thread>

#include "common/blobs/blob_key.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/file_links.h"
#include "control-plane/api/testing/api_fixture.h"
#include "control-plane/testing/busy_pool.h"
#include "control-plane/testing/fake_files.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class FilesApi : public ApiTest {
 protected:
  static std::string part(const std::string& disposition, const std::string& type,
                          const std::string& data) {
    std::string out = "--XyZ\r\nContent-Disposition: form-data; " + disposition + "\r\n";
    if (!type.empty()) out += "Content-Type: " + type + "\r\n";
    return out + "\r\n" + data + "\r\n";
  }
  Reply upload(const std::string& parts) {
    return call("POST", "/v1/files", parts + "--XyZ--\r\n",
                {{"Content-Type", "multipart/form-data; boundary=XyZ"}});
  }
  std::string id_of(const Reply& reply) { return reply.json()["id"]; }
  std::string uploaded(const std::string& data) {
    const Reply reply =
        upload(part(R"(name="content"; filename="a.bin")", "application/octet-stream", data));
    EXPECT_EQ(reply.status, 201) << reply.body;
    return id_of(reply);
  }
  std::string link(const std::string& id, std::int64_t expiry) {
    const std::string signature = sign_file_link(account_, *store::FileId::parse(id), expiry);
    return "/v1/files/" + id + "/download?owner=acme&expiry=" + std::to_string(expiry) +
           "&signature=" + http::percent_encode(signature);
  }
  std::int64_t now_s() {
    return std::chrono::duration_cast<std::chrono::seconds>(clock_.now().time_since_epoch())
        .count();
  }
};

TEST_F(FilesApi, AnUploadIsDescribedInFull) {
  const Reply reply = upload(part(R"(name="content"; filename="test.txt")", "text/plain", "hello") +
                             part(R"(name="metadata")", "", R"({"a":"b"})"));
  ASSERT_EQ(reply.status, 201) << reply.body;
  const json file = reply.json();
  EXPECT_EQ(file["name"], "test.txt");
  EXPECT_EQ(file["content_type"], "text/plain");
  EXPECT_EQ(file["size"], 5);
  EXPECT_EQ(file["etag"], "5d41402abc4b2a76b9719d911017c592");
  EXPECT_EQ(file["checksums"]["md5"], "5d41402abc4b2a76b9719d911017c592");
  EXPECT_EQ(file["checksums"]["sha256"],
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  EXPECT_EQ(file["metadata"], json::parse(R"({"a":"b"})"));
  EXPECT_EQ(file["urls"]["get"], "https://mimeo.example/v1/files/" + id_of(reply));
  EXPECT_EQ(get("/v1/files/" + id_of(reply)).json(), file);
  EXPECT_EQ(get("/v1/files").json()["results"][0], file);
}

TEST_F(FilesApi, EveryClientsHabitsAreUnderstood) {
  // Raw bytes with a name that says nothing, metadata as fields.
  const json generated =
      upload(part(R"(name="content"; filename="upload")", "application/octet-stream", "x") +
             part(R"(name="metadata[k]")", "", "v"))
          .json();
  EXPECT_EQ(generated["metadata"], json::parse(R"({"k":"v"})"));
  // Metadata as a file.
  const json blob =
      upload(part(R"(name="content"; filename="a.png")", "image/png", "x") +
             part(R"(name="metadata"; filename="blob")", "application/json", R"({"n":1})"))
          .json();
  EXPECT_EQ(blob["metadata"], json::parse(R"({"n":1})"));
  EXPECT_EQ(blob["content_type"], "image/png");
  // No type, no metadata, name and type as fields, metadata first.
  const json fields =
      upload(part(R"(name="metadata")", "", "{}") + part(R"(name="filename")", "", "named.txt") +
             part(R"(name="type")", "", "text/x-mine") +
             part(R"(name="content"; filename="file")", "", "x"))
          .json();
  EXPECT_EQ(fields["name"], "named.txt");
  EXPECT_EQ(fields["content_type"], "text/x-mine");
  const json bare = upload(part(R"(name="content"; filename="file")", "", "")).json();
  EXPECT_EQ(bare["content_type"], "application/octet-stream");
  EXPECT_EQ(bare["size"], 0);
  EXPECT_EQ(bare["metadata"], json::object());
}

TEST_F(FilesApi, BadUploadsAreClientErrors) {
  EXPECT_EQ(post("/v1/files", json::object()).status, 400);
  EXPECT_EQ(upload("").status, 400);
  EXPECT_EQ(upload(part(R"(name="metadata")", "", "{}")).status, 400);
  EXPECT_EQ(upload(part(R"(name="content"; filename="a")", "", "x") +
                   part(R"(name="metadata")", "", "[1]"))
                .status,
            400);
  EXPECT_EQ(upload(part(R"(name="content"; filename="a")", "", "x") +
                   part(R"(name="content"; filename="b")", "", "y"))
                .status,
            400);
  EXPECT_EQ(
      upload(part("name=\"content\"; filename=\"" + std::string(300, 'n') + "\"", "", "x")).status,
      400);
  EXPECT_EQ(get("/v1/files").json()["results"].size(), 0U);
}

TEST_F(FilesApi, MetadataHasItsLimits) {
  const auto with = [this](const std::string& parts) {
    return upload(part(R"(name="content"; filename="a")", "", "x") + parts).status;
  };
  std::string fields;
  for (int i = 0; i < 100; ++i) {
    fields += part("name=\"metadata[k" + std::to_string(i) + "]\"", "", std::string(600, 'v'));
  }
  EXPECT_EQ(with(fields), 201);
  EXPECT_EQ(with(fields + part("name=\"metadata[more]\"", "", std::string(10'000, 'v'))), 400);
  std::string deep = "metadata";
  for (int i = 0; i < 200; ++i) deep += "[k]";
  EXPECT_EQ(with(part("name=\"" + deep + "\"", "", "v")), 400);
  for (const char* bad : {"{", "\"text\"", "[1]", "{}x", "1"}) {
    EXPECT_EQ(with(part(R"(name="metadata")", "", bad)), 400) << bad;
  }
  EXPECT_EQ(with(part(R"(name="metadata")", "", "null")), 201);
}

TEST_F(FilesApi, NoMoreThanALittleMayFollowTheLastPart) {
  const std::string whole = part(R"(name="content"; filename="a")", "", "x") + "--XyZ--\r\n";
  const auto with = [&](std::size_t more) {
    return call("POST", "/v1/files", whole + std::string(more, ' '),
                {{"Content-Type", "multipart/form-data; boundary=XyZ"}})
        .status;
  };
  EXPECT_EQ(with(1'000), 201);
  EXPECT_EQ(with(1'000'000), 400);
}

TEST_F(FilesApi, OnlySoManyAreOnTheirWayAtOnce) {
  settings_.max_uploads = 1;
  settings_.max_downloads = 1;
  start();
  const std::string id = uploaded("one after the other");
  uploaded("is fine");
  const std::string path = link(id, now_s() + 60);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(path).status, 200);
  settings_.max_uploads = 0;
  settings_.max_downloads = 0;
  start();
  const Reply refused = upload(part(R"(name="content"; filename="a")", "", "x"));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  EXPECT_EQ(get(path).status, 429);
}

TEST_F(FilesApi, TheSameContentIsStoredOnce) {
  const std::string first = uploaded("twice");
  const std::string second = uploaded("twice");
  const auto key = [this](const std::string& id) {
    return files_.get_file(*store::FileId::parse(id), account_.id, clock_.now())->blob_key;
  };
  EXPECT_EQ(key(first), key(second));
  EXPECT_EQ(call("DELETE", "/v1/files/" + first).status, 204);
  EXPECT_EQ(call("GET", link(second, now_s() + 60), "", {{"Authorization", ""}}).body, "twice");
}

TEST_F(FilesApi, TooLargeIsSaidAsClientsKnowIt) {
  settings_.max_file = Bytes{1'000'000};
  start();
  const Reply reply =
      upload(part(R"(name="content"; filename="a")", "", std::string(1'000'001, 'x')));
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.json(), json::parse(R"({"detail":"Files must be less than 1MB in size"})"));
  EXPECT_EQ(get("/v1/files").json()["results"].size(), 0U);
}

TEST_F(FilesApi, DeletedIsGone) {
  const std::string path = "/v1/files/" + uploaded("x");
  EXPECT_EQ(call("DELETE", path, "", as(stranger_token_)).status, 404);
  EXPECT_EQ(call("DELETE", path).status, 204);
  EXPECT_EQ(call("DELETE", path).status, 404);
  EXPECT_EQ(get(path).json(), json::parse(R"({"detail":"File not found"})"));
  EXPECT_EQ(get("/v1/files/garbage").status, 404);
}

TEST_F(FilesApi, AFileExpiresAfterADay) {
  const std::string path = "/v1/files/" + uploaded("x");
  clock_.advance(std::chrono::hours(24));
  EXPECT_EQ(get(path).status, 404);
  EXPECT_EQ(get("/v1/files").json()["results"].size(), 0U);
}

TEST_F(FilesApi, ASignedLinkOpensTheFileWithoutAToken) {
  const std::string id = uploaded("content of it");
  const Reply reply = call("GET", link(id, now_s() + 60), "", {{"Authorization", ""}});
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body, "content of it");
  EXPECT_EQ(reply.header("Content-Type"), "application/octet-stream");
  std::string forged = link(id, now_s() + 60);
  forged.replace(forged.find("&signature=") + 11, 4, "AAAA");
  for (const std::string& bad : {link(id, now_s() - 1), forged, "/v1/files/" + id + "/download",
                                 link(uploaded("other"), now_s() + 60).replace(10, 26, id)}) {
    const Reply refused = get(bad);
    EXPECT_EQ(refused.status, 404) << bad;
    EXPECT_EQ(refused.json(), json::parse(R"({"detail":"File not found"})"));
  }
}

TEST_F(FilesApi, ASignedLinkEndsWithTheSecretAndWithTheAccount) {
  const std::string id = uploaded("x");
  const std::string secret = get("/v1/account/settings").json()["file_signing_secret"];
  EXPECT_EQ(secret, account_.file_secret);
  const std::string old = link(id, now_s() + 60);
  EXPECT_EQ(call("POST", "/v1/webhooks/default/secret/rotate").status, 200);
  EXPECT_EQ(call("GET", old, "", {{"Authorization", ""}}).status, 404);
  EXPECT_NE(get("/v1/account/settings").json()["file_signing_secret"], secret);
  account_ = *store_.get_account(account_.id);
  EXPECT_EQ(call("GET", link(id, now_s() + 60), "", {{"Authorization", ""}}).status, 200);
  store::AccountChange disable;
  disable.disabled_at = std::optional<WallTime>(clock_.now());
  ASSERT_TRUE(store_.update_account(account_.id, disable, {}).ok());
  EXPECT_EQ(call("GET", link(id, now_s() + 60), "", {{"Authorization", ""}}).status, 404);
}

TEST_F(FilesApi, PagesOfFilesHoldAHundred) {
  for (int i = 0; i < 101; ++i) uploaded("x");
  const json first = get("/v1/files").json();
  EXPECT_EQ(first["results"].size(), 100U);
  const std::string next = first["next"].get<std::string>().substr(21);
  EXPECT_EQ(get(next).json()["results"].size(), 1U);
}

TEST_F(FilesApi, PagesOfFilesLeadBothWays) {
  for (int i = 0; i < 205; ++i) uploaded("x");
  const auto follow = [this](const json& page, const char* where) {
    return get(page[where].get<std::string>().substr(21)).json();
  };
  const json first = get("/v1/files").json();
  EXPECT_EQ(first["previous"], nullptr);
  const json second = follow(first, "next");
  const json third = follow(second, "next");
  EXPECT_EQ(third["results"].size(), 5U);
  EXPECT_EQ(third["next"], nullptr);
  EXPECT_EQ(follow(third, "previous")["results"], second["results"]);
  const json back = follow(follow(third, "previous"), "previous");
  EXPECT_EQ(back["results"], first["results"]);
  EXPECT_EQ(back["previous"], nullptr);
  EXPECT_EQ(follow(back, "next")["results"], second["results"]);
}

TEST_F(FilesApi, GivingAnUploadUpDoesNotHoldUpTheThreadOfAllConnections) {
  MemoryBlobs blobs;
  std::promise<std::thread::id> died_on;
  blobs.on_writer_gone([&] { died_on.set_value(std::this_thread::get_id()); });
  other_blobs_ = &blobs;
  settings_.max_file = Bytes{1'000'000};
  start();
  const std::string content(1'000'001, 'x');
  EXPECT_EQ(upload(part(R"(name="content"; filename="a")", "", content)).status, 413);
  EXPECT_NE(died_on.get_future().get(), std::this_thread::get_id()) << "which runs the loop";
}

TEST_F(FilesApi, AStoreOfFilesThatHangsHoldsUpTransfersAlone) {
  const std::string id = uploaded("content of it");
  BusyPool busy(transfers_, 2);
  auto down = send("GET", link(id, now_s() + 60), "", {{"Authorization", ""}});
  auto up =
      send("POST", "/v1/files", part(R"(name="content"; filename="a")", "", "x") + "--XyZ--\r\n",
           {{"Content-Type", "multipart/form-data; boundary=XyZ"}});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(get("/v1/files/" + id).status, 200);
  EXPECT_FALSE(loop_.is_ready(down));
  EXPECT_FALSE(loop_.is_ready(up));
  busy.release();
  EXPECT_EQ(loop_.finish(down).body, "content of it");
  EXPECT_EQ(loop_.finish(up).status, 201);
}

class Delivery : public ApiTest {
 protected:
  blobs::BlobInfo put(const std::string& key, const std::string& content) {
    auto writer = *blobs_->create(key);
    EXPECT_EQ(writer->write(content), absl::OkStatus());
    return *writer->commit();
  }
  // The path of an output file with this content.
  std::string deliver(const std::string& filename, const std::string& content,
                      const std::string& type = "") {
    prediction_ = create().id;
    const std::string token = make_delivery_token(prediction_, random_);
    store::OutputFile file;
    file.prediction = prediction_;
    file.secret = parse_delivery_token(token)->secret;
    file.filename = filename;
    file.content_type = type;
    file.created_at = clock_.now();
    file.blob_key = blobs::content_key(ids_.next());
    const blobs::BlobInfo info = put(file.blob_key, content);
    file.size_bytes = static_cast<std::int64_t>(info.size_bytes);
    file.sha256_hex = info.sha256_hex;
    file.md5_hex = info.md5_hex;
    EXPECT_EQ(files_.create_output(file), absl::OkStatus());
    return delivery_url("", token, filename);
  }
  Reply fetch(const std::string& path, Fields fields = {}) {
    fields.emplace_back("Authorization", "");
    return call("GET", path, "", fields);
  }

  PredictionId prediction_;  // Of the last file.
};

TEST_F(Delivery, AFileIsPublicTypedAndCacheable) {
  const std::string path = deliver("out-0.png", "PNGDATA");
  const Reply reply = fetch(path);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "PNGDATA");
  EXPECT_EQ(reply.header("Content-Type"), "image/png");
  EXPECT_EQ(reply.header("Content-Length"), "7");
  EXPECT_EQ(reply.header("Accept-Ranges"), "bytes");
  EXPECT_EQ(reply.header("Cache-Control"), "public,max-age=3600");
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
  EXPECT_NE(reply.header("Last-Modified"), "");
  const std::string etag = reply.header("ETag");
  EXPECT_EQ(etag, "\"" + to_hex(crypto::md5("PNGDATA")) + "\"");
  EXPECT_EQ(reply.header("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(reply.header("Content-Disposition"), "");
  EXPECT_EQ(fetch(path, {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(fetch(path, {{"If-None-Match", "\"other\""}}).status, 200);
  const Reply head = call("HEAD", path, "", {{"Authorization", ""}});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(Delivery, RangesGivePartsOfAFile) {
  std::string content;
  for (int i = 0; i < 100'000; ++i) content += std::to_string(i) + "\n";
  const std::string path = deliver("big file.txt", content);
  EXPECT_EQ(fetch(path).body, content);
  const Reply part = fetch(path, {{"Range", "bytes=300000-300009"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, content.substr(300'000, 10));
  EXPECT_EQ(part.header("Content-Range"), "bytes 300000-300009/" + std::to_string(content.size()));
  EXPECT_EQ(fetch(path, {{"Range", "bytes=-5"}}).body, content.substr(content.size() - 5));
  EXPECT_EQ(fetch(path, {{"Range", "bytes=99999999-"}}).status, 416);
  const Reply whole = fetch(path, {{"Range", "bytes=0-1"}, {"If-Range", "\"old\""}});
  EXPECT_EQ(whole.status, 200);
  const std::string etag = whole.header("ETag");
  const std::string date = whole.header("Last-Modified");
  const auto status_if = [&](const std::string& condition) {
    return fetch(path, {{"Range", "bytes=0-1"}, {"If-Range", condition}}).status;
  };
  EXPECT_EQ(status_if(etag), 206);
  EXPECT_EQ(status_if("W/" + etag), 200) << "a weak tag is not enough for parts";
  EXPECT_EQ(status_if(date), 206);
  EXPECT_EQ(status_if("Mon, 01 Jan 2001 00:00:00 GMT"), 200);
}

TEST_F(Delivery, PartsAreOfGetAlone) {
  const std::string path = deliver("a.txt", "0123456789");
  const Reply head = call("HEAD", path, "", {{"Authorization", ""}, {"Range", "bytes=2-3"}});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "10");
  EXPECT_EQ(head.header("Content-Range"), "");
  EXPECT_EQ(call("HEAD", path, "", {{"Authorization", ""}, {"Range", "bytes=99-"}}).status, 200);
}

TEST_F(Delivery, WhoInsistsOnAnotherVersionGetsNothing) {
  const std::string path = deliver("a.txt", "x");
  const Reply whole = fetch(path);
  const std::string etag = whole.header("ETag");
  const std::string date = whole.header("Last-Modified");
  const std::string before = "Mon, 01 Jan 2001 00:00:00 GMT";
  EXPECT_EQ(fetch(path, {{"If-Match", "\"other\", " + etag}}).status, 200);
  EXPECT_EQ(fetch(path, {{"If-Match", "*"}}).status, 200);
  EXPECT_EQ(fetch(path, {{"If-Match", "W/" + etag}}).status, 412);
  EXPECT_EQ(fetch(path, {{"If-Unmodified-Since", date}}).status, 200);
  EXPECT_EQ(fetch(path, {{"If-Unmodified-Since", before}}).status, 412);
  EXPECT_EQ(fetch(path, {{"If-Unmodified-Since", "yesterday"}}).status, 200) << "no date";
  EXPECT_EQ(fetch(path, {{"If-Match", etag}, {"If-Unmodified-Since", before}}).status, 200)
      << "the tag counts before the date";
  const Reply refused = fetch(path, {{"If-Match", "\"other\""}, {"Range", "bytes=0-0"}});
  EXPECT_EQ(refused.status, 412);
  EXPECT_EQ(refused.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(refused.header("Cache-Control"), "no-store");
  EXPECT_EQ(fetch(path, {{"Range", "bytes=9-"}}).header("Cache-Control"), "no-store");
}

TEST_F(Delivery, AFileHasTheTypeThatItsModelGave) {
  EXPECT_EQ(fetch(deliver("a.bin", "x", "audio/x-mine")).header("Content-Type"), "audio/x-mine");
  EXPECT_EQ(fetch(deliver("a.csv", "x")).header("Content-Type"), "text/csv; charset=utf-8");
  EXPECT_EQ(fetch(deliver("a.png", "x", "nothing")).header("Content-Type"), "image/png");
  for (const char* type : {"text/html", "TEXT/HTML ; charset=utf-8", "application/xhtml+xml",
                           "image/svg+xml", "text/xml", "multipart/related", "message/rfc822"}) {
    EXPECT_EQ(fetch(deliver("a.png", "x", type)).header("Content-Disposition"), "attachment")
        << type;
  }
  const std::string path = deliver("über uns.png", "x");
  EXPECT_TRUE(path.ends_with("/%C3%BCber%20uns.png")) << path;
  EXPECT_EQ(fetch(path).status, 200);
}

TEST_F(Delivery, ADateTellsTooThatTheClientHasTheFile) {
  const std::string path = deliver("a.txt", "x");
  const std::string date = fetch(path).header("Last-Modified");
  EXPECT_EQ(fetch(path, {{"If-Modified-Since", date}}).status, 304);
  EXPECT_EQ(fetch(path, {{"If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"}}).status, 304);
  EXPECT_EQ(fetch(path, {{"If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"}}).status, 200);
  EXPECT_EQ(fetch(path, {{"If-Modified-Since", date}, {"If-None-Match", "\"other\""}}).status, 200)
      << "the tag counts before the date";
}

// A model's page must not act as a page of this server: whose visitor could be its administrator.
TEST_F(Delivery, NothingThatAModelWroteRunsOnThisOrigin) {
  for (const char* name : {"page.html", "drawing.svg", "feed.xml", "PAGE.HTML"}) {
    const Reply reply = fetch(deliver(name, "<script>alert(1)</script>"));
    EXPECT_EQ(reply.header("Content-Disposition"), "attachment") << name;
    EXPECT_TRUE(reply.header("Content-Security-Policy").starts_with("sandbox; default-src 'none'"));
    EXPECT_EQ(reply.header("X-Content-Type-Options"), "nosniff");
  }
  EXPECT_EQ(fetch(deliver("x.js", "alert(1)")).header("Content-Type"), "application/octet-stream");
  EXPECT_EQ(fetch(deliver("x.xhtml", "<html/>")).header("Content-Type"),
            "application/octet-stream");
}

TEST_F(Delivery, AFileGoesWithTheDataOfItsPrediction) {
  const std::string path = deliver("a.txt", "x");
  files_.remove_outputs(prediction_);
  EXPECT_EQ(fetch(path).status, 404);
}

TEST_F(Delivery, FilesFromBeforeTheyHadRowsAreServedStill) {
  const std::string token = make_delivery_token(ids_.next(), random_);
  put(old_output_key(*parse_delivery_token(token), "old.txt"), "of old");
  const std::string path = delivery_url("", token, "old.txt");
  EXPECT_EQ(fetch(path).body, "of old");
  EXPECT_EQ(fetch(path.substr(0, path.size() - 3) + "svg").status, 404);
}

TEST_F(Delivery, OnlyTheExactLinkOpensAFile) {
  const std::string path = deliver("out.txt", "x");
  EXPECT_EQ(fetch(path.substr(0, path.size() - 3) + "html").status, 404);
  std::string other = path;
  other[40] = other[40] == '0' ? '1' : '0';
  EXPECT_EQ(fetch(other).status, 404);
  EXPECT_EQ(fetch("/delivery/short/out.txt").status, 404);
  EXPECT_EQ(fetch(other).header("Access-Control-Allow-Origin"), "*");
}

TEST_F(Delivery, PagesOfOtherOriginsMayAskFirst) {
  const Reply reply = call("OPTIONS", deliver("a.txt", "x"), "",
                           {{"Authorization", ""}, {"Origin", "https://app.example"}});
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(reply.header("Access-Control-Allow-Methods"), "GET, HEAD");
}

TEST_F(Delivery, AFileOfNothingIsServed) { EXPECT_EQ(fetch(deliver("empty.txt", "")).status, 200); }

}  // namespace
}  // namespace mimeo::control
