// The credentials file: whose, which form, and that its content goes nowhere else.
#include "rpc/http_credentials.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace vnvme::rpc {
namespace {

const std::string kPassword = "s3cret-Passw0rd";

class Credentials : public testing::Test {
 protected:
  std::string dir, path;
  void SetUp() override {
    char name[] = "/tmp/vnvme-cred-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir = name;
    path = dir + "/card";
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  void put(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path, std::ios::binary) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  std::string header() {
    auto read = read_basic_authorization(path);
    EXPECT_TRUE(read) << read.error().describe();
    return read ? std::string(read->view()) : "";
  }
  Error refused() {
    auto read = read_basic_authorization(path);
    EXPECT_FALSE(read);
    if (read) return {};
    auto said = read.error().describe();
    EXPECT_NE(said.find(path), std::string::npos) << said;
    EXPECT_EQ(said.find(kPassword), std::string::npos) << said;
    return read.error();
  }
};

TEST_F(Credentials, MakeTheHeaderLine) {
  for (const auto* end : {"", "\n", "\r\n"}) {
    put(std::string("Aladdin:open sesame") + end);  // the example of RFC 7617
    EXPECT_EQ(header(), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
  }
  put("user:pass", 0400);
  EXPECT_EQ(header(), "Authorization: Basic dXNlcjpwYXNz\r\n");
  put("u:a:b");  // only the first colon separates
  EXPECT_EQ(header(), "Authorization: Basic dTphOmI=\r\n");
  put("u:");  // an empty password is one
  EXPECT_EQ(header(), "Authorization: Basic dTo=\r\n");
}
TEST_F(Credentials, OfTheLargestSizeFit) {
  put("u:" + std::string(kCredentialBytes - 2, 'p'));
  EXPECT_EQ(header().size(), 21 + (kCredentialBytes + 2) / 3 * 4 + 2);
  put("u:" + std::string(kCredentialBytes - 1, 'p'));
  EXPECT_EQ(refused().code, Errc::invalid_argument);
}
TEST_F(Credentials, ThatOthersCanUseAreRefused) {
  for (mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0666}) {
    put("user:" + kPassword + "\n", mode);
    auto error = refused();
    EXPECT_EQ(error.code, Errc::not_permitted);
    EXPECT_NE(error.text.find("chmod 600"), std::string::npos) << error.text;
  }
}
TEST_F(Credentials, OfAnotherUserAreRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  put("user:" + kPassword);
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  auto error = refused();
  EXPECT_EQ(error.code, Errc::not_permitted);
  EXPECT_NE(error.text.find("65534"), std::string::npos) << error.text;
}
TEST_F(Credentials, AbsentOrNoFileAtAll) {
  EXPECT_EQ(refused().code, Errc::not_found);
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  EXPECT_EQ(refused().code, Errc::not_permitted);
  ASSERT_EQ(rmdir(path.c_str()), 0);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(refused().code, Errc::not_permitted);
}
TEST_F(Credentials, OfAnotherFormAreRefused) {
  for (const auto& text :
       {std::string(), std::string("\n"), kPassword, ":" + kPassword, "u:" + kPassword + "\nx",
        " u:" + kPassword, "u:" + kPassword + " ", "u:\t" + kPassword, "u:" + kPassword + "\xC3\xBC",
        "u:" + kPassword + std::string(1, '\0')}) {
    put(text);
    EXPECT_EQ(refused().code, Errc::invalid_argument) << text;
  }
}

// The kernel says of each mapping whether a core dump leaves it out: "dd".
TEST(SecretMemory, IsLeftOutOfCoreDumps) {
  auto secret = Secret::with_room(100);
  ASSERT_TRUE(secret);
  secret->append(kPassword);
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<std::uintptr_t>(secret->view().data()) << "-";
  std::ifstream maps("/proc/self/smaps");
  std::string line, flags;
  bool here = false;
  while (std::getline(maps, line)) {
    if (line.find('-') != std::string::npos && line.find(' ') != std::string::npos &&
        line.find("VmFlags") != 0)
      if (line.find(':') > line.find(' ')) here = line.starts_with(begin.str()) || (here && line[0] == ' ');
    if (here && line.starts_with("VmFlags")) flags = line + " ";
  }
  if (flags.empty()) GTEST_SKIP() << "this kernel merged the mapping with another one";
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
}
TEST(SecretMemory, MovesAndNeverGrowsBeyondItsRoom) {
  auto made = Secret::with_room(10);
  ASSERT_TRUE(made);
  Secret secret = std::move(*made);
  auto room = secret.room().size();
  EXPECT_GE(room, 10u);
  secret.append(std::string(room + 5, 'x'));
  EXPECT_EQ(secret.view().size(), room);
  const char* where = secret.view().data();
  Secret other;
  EXPECT_TRUE(other.empty());
  other = std::move(secret);
  EXPECT_EQ(other.view().data(), where);
  EXPECT_TRUE(secret.empty());  // NOLINT(bugprone-use-after-move): that it is empty is what is tested
  other.set_size(room + 100);
  EXPECT_EQ(other.view().size(), room);
}

}  // namespace
}  // namespace vnvme::rpc
