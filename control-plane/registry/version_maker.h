// Makes a version from an image in the registry: reads it, checks it, writes the row. The same for
// a push that was notified and for one that reconciling found.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/oci/registry_client.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/discovery.h"
#include "control-plane/registry/push_events.h"

namespace mimeo::control {

enum class PushOutcome : std::uint8_t {
  kMade,      // A version is ready that was not there before.
  kKnown,     // It was made before; nothing changed.
  kRefused,   // The image is no model, or who pushed it may not: a refused version says why.
  kPassedBy,  // Part of a bundle, in a repository that is nobody's, gone again, or of a new model
              // beyond those that an account may have.
};

// How a push came to our notice.
enum class PushOrigin : std::uint8_t {
  kNotified,    // Just now: a version that was deleted or refused is made again.
  kReconciled,  // Still there: what was made once, whatever became of it, is left alone.
};

// Blocking, any thread.
class VersionMaker {
 public:
  // All outlive the maker.
  VersionMaker(const oci::RegistryClient& registry, store::CatalogStore& catalog,
               store::DiscoveryStore& discovery, store::AccountsStore& accounts, const Clock& clock,
               std::string default_sku);

  // Idempotent. Makes the model, private, if its owner exists: pushing is how models come into
  // being. The registry's token may be an hour old: if the API token behind it does not work any
  // more, or may not push any more, the version is a refused one. Errors are worth another try:
  // kUnavailable and what else the registry or the store did not manage.
  Result<PushOutcome> make(const Push& push, PushOrigin origin);

  // Whether there is a version of exactly this digest, in whatever state: a cheap look before
  // make(), which finds more (an index is known by the image in it).
  Result<bool> is_known(std::string_view repository, std::string_view digest);

 private:
  // nullopt: there is none, and its owner may not have more.
  Result<std::optional<store::Model>> ensure_model(const store::Account& owner,
                                                   const std::string& name, const Push& push);
  // Why who pushed may not do so now. Empty if it may, or if nobody is named: reconciling finds no
  // more than the image.
  Result<std::string> refusal_of(const store::Account& owner, const Push& push);
  // Into the audit log: what the push makes. Before it is made: a push is tried until it is
  // settled, so an entry may be there twice, but is never missing.
  Status tell(const store::Account& owner, const Push& push, std::string action, std::string target,
              store::AuditOutcome outcome = store::AuditOutcome::kDone);
  // The id under which this repository's version of that digest is kept.
  Result<VersionId> id_for(std::string_view repository, std::string_view digest);

  const oci::RegistryClient& registry_;
  store::CatalogStore& catalog_;
  store::DiscoveryStore& discovery_;
  store::AccountsStore& accounts_;
  const Clock& clock_;
  const std::string default_sku_;
};

}  // namespace mimeo::control
