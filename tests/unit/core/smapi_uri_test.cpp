#include <gtest/gtest.h>

#include "vnvme/smapi.hpp"

namespace vnvme::smapi {
namespace {

TEST(Uri, RoundTripsAndRefusesEverythingElse) {
  SrId sr("11111111-2222-3333-4444-555555555555");
  VolumeId volume("6c84b44c-a61b-41a4-8b19-32ab643b57d9");
  auto uri = make_uri(sr, volume);
  EXPECT_EQ(uri, "vnvme:///11111111-2222-3333-4444-555555555555/6c84b44c-a61b-41a4-8b19-32ab643b57d9");
  auto back = parse_uri(uri);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->sr, sr);
  EXPECT_EQ(back->volume, volume);
  for (auto bad :
       {"", "vnvme:///", "raw+file:///x", "vnvme:///a/b", "vnvme:///11111111-2222-3333-4444-555555555555",
        "vnvme:///11111111-2222-3333-4444-555555555555/6c84b44c-a61b-41a4-8b19-32ab643b57d9/.."})
    EXPECT_EQ(parse_uri(bad).error().code, Errc::invalid_argument) << bad;
}

}  // namespace
}  // namespace vnvme::smapi
