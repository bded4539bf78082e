// Calls from the worker to any control plane that carry files or credentials: content of inputs,
// content of outputs, tokens for pulling images. Events and results are hub_client.h's.
//
// All methods block: call them from a BlockingPool thread. Safe from any thread. Each tries the
// addresses in order and goes to the next one on kUnavailable and kDeadlineExceeded.

#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/server.h"
#include "proto/event_hub.pb.h"
#include "worker/attempts/attempt_key.h"

namespace mimeo::worker {

// Gives the next part of a file's content; empty at its end.
using ContentSource = std::function<Result<std::string>()>;
// Makes a source from the beginning: a call may have to be repeated at another control plane.
using OpenContent = std::function<Result<ContentSource>()>;
using ContentSink = std::function<Status(std::string_view)>;

struct OutputFile {
  AttemptKey attempt;
  std::string filename;
  std::string content_type;
  OpenContent open;
};

struct PullToken {
  std::string registry;
  std::string token;
};

// What the worker needs of a control plane; HubCalls is the real one.
class HubApi {
 public:
  virtual ~HubApi() = default;
  // The content of an input file of ours (a URL of the control plane), or with an empty `url` the
  // whole input of the prediction. kNotFound when the URL is none of ours, kPermissionDenied.
  // `reset` is called before each try.
  virtual Status fetch_input(const std::vector<std::string>& addresses, PredictionId prediction,
                             const std::string& url, const std::function<Status()>& reset,
                             const ContentSink& sink) = 0;
  // Stores a file; its public URL.
  virtual Result<std::string> store_output(const std::vector<std::string>& addresses,
                                           const OutputFile& file) = 0;
  virtual Result<PullToken> pull_token(const std::vector<std::string>& addresses,
                                       const std::string& repository) = 0;
};

class HubCalls final : public HubApi {
 public:
  HubCalls(std::string token, rpc::TlsFiles tls);
  ~HubCalls() override;

  Status fetch_input(const std::vector<std::string>& addresses, PredictionId prediction,
                     const std::string& url, const std::function<Status()>& reset,
                     const ContentSink& sink) override;
  Result<std::string> store_output(const std::vector<std::string>& addresses,
                                   const OutputFile& file) override;
  Result<PullToken> pull_token(const std::vector<std::string>& addresses,
                               const std::string& repository) override;

 private:
  struct Peer;
  std::shared_ptr<Peer> peer(const std::string& address);
  Status fetch_from(Peer& peer, const v1::FetchInputRequest& request, const ContentSink& sink);
  Result<std::string> store_at(Peer& peer, const OutputFile& file);

  const std::string token_;
  const rpc::TlsFiles tls_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Peer>> peers_;  // Guarded by mutex_.
};

}  // namespace mimeo::worker
