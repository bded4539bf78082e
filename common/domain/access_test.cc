#include "common/domain/access.h"

#include <gtest/gtest.h>

namespace mimeo {
namespace {

TEST(Scopes, TheirTextComesBack) {
  for (const Scopes scopes :
       {Scopes{}, Scopes::all(), Scopes{Scope::kRead}, Scopes{Scope::kBilling, Scope::kModels}}) {
    EXPECT_EQ(scopes_of_text(to_text(scopes)), scopes) << to_text(scopes);
  }
  EXPECT_EQ(to_text({Scope::kModels, Scope::kPredictions}), "predictions models");
  EXPECT_EQ(to_text(Scopes::all()), "*");
}

TEST(Scopes, AWordOfALaterReleaseGrantsNothing) {
  EXPECT_EQ(scopes_of_text("teleport read"), Scopes{Scope::kRead});
  EXPECT_TRUE(scopes_of_text("teleport").is_empty());
}

TEST(Scopes, AWrongWordListsTheRightOnes) {
  const auto wrong = add_scope({}, "model");
  EXPECT_TRUE(absl::IsInvalidArgument(wrong.status()));
  EXPECT_NE(std::string(wrong.status().message()).find("models"), std::string::npos);
  EXPECT_TRUE(add_scope({}, "*")->is_all());
  EXPECT_TRUE(add_scope(Scopes{Scope::kRead}, "files")->contains({Scope::kRead, Scope::kFiles}));
}

TEST(Roles, BoundWhatATokenMayDo) {
  EXPECT_TRUE(scopes_of(Role::kOwner).is_all());
  EXPECT_TRUE(scopes_of(Role::kDeveloper).has(Scope::kModels));
  EXPECT_FALSE(scopes_of(Role::kDeveloper).has(Scope::kAccount));
  EXPECT_EQ(scopes_of(Role::kViewer), Scopes{Scope::kRead});
  EXPECT_FALSE(scopes_of(Role::kBilling).has(Scope::kRead));
  EXPECT_EQ(role_named("viewer"), Role::kViewer);
  EXPECT_EQ(role_named("king"), std::nullopt);
}

}  // namespace
}  // namespace mimeo
