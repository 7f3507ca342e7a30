// Files with secrets: whose they may be, what is said of a wrong one, and that their content goes nowhere
// else.
#include "core/guarded_file.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace vnvme {
namespace {

const std::string kPassword = "s3cret-Passw0rd";

class GuardedFiles : public testing::Test {
 protected:
  std::string dir, path;
  GuardedFile about{.what = "test file", .holds = "one word", .most = 64};
  void SetUp() override {
    char name[] = "/tmp/vnvme-guarded-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir = name;
    path = dir + "/secret";
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  void put(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path, std::ios::binary) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  Error refused(Errc code) { return refused(path, code); }
  Error refused(const std::string& where, Errc code) {
    auto read = read_guarded_file(where, about);
    EXPECT_FALSE(read) << where;
    if (read) return {};
    auto said = read.error().describe();
    EXPECT_EQ(read.error().code, code) << said;
    EXPECT_TRUE(read.error().text.starts_with("test file " + where + ": ")) << said;
    EXPECT_EQ(said.find(kPassword), std::string::npos) << said;
    return read.error();
  }
};

TEST_F(GuardedFiles, AreReadWhole) {
  const std::string binary("a\0b\xFF\n", 5);
  for (const auto& text : {std::string(), kPassword, binary, std::string(64, 'x')})
    for (mode_t mode : {0600, 0400, 0700}) {
      ASSERT_EQ(::unlink(path.c_str()) == 0 || errno == ENOENT, true);
      put(text, mode);
      auto read = read_guarded_file(path, about);
      ASSERT_TRUE(read) << read.error().describe();
      EXPECT_EQ(read->view(), text);
    }
}
TEST_F(GuardedFiles, GiveTheRoomThatTheirReaderNeeds) {
  put(kPassword);
  about.room = 1u << 20;
  auto read = read_guarded_file(path, about);
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_GE(read->room().size(), 1u << 20);
  EXPECT_EQ(read->view(), kPassword);
}
TEST_F(GuardedFiles, ThatAreTooLongAreRefused) {
  for (std::size_t length : {65u, 66u, 70'000u}) {
    put(std::string(length, 'x'));
    auto error = refused(Errc::invalid_argument);
    EXPECT_NE(error.text.find("longer than 64 bytes; it holds one word"), std::string::npos) << error.text;
  }
}
TEST_F(GuardedFiles, ThatOthersCanUseAreRefused) {
  for (mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0666, 04640}) {
    put(kPassword, mode);
    auto error = refused(Errc::not_permitted);
    char octal[8];
    std::snprintf(octal, sizeof octal, "%04o", mode);
    EXPECT_NE(error.text.find(octal), std::string::npos) << error.text;
    EXPECT_NE(error.text.find("Run chmod 600 " + path), std::string::npos) << error.text;
  }
}
TEST_F(GuardedFiles, OfAnotherUserAreRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  put(kPassword);
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  auto error = refused(Errc::not_permitted);
  EXPECT_NE(error.text.find("belongs to user 65534"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("Run chown root " + path), std::string::npos) << error.text;
}
TEST_F(GuardedFiles, AbsentOrNoFileAtAll) {
  auto absent = refused(Errc::not_found);
  EXPECT_NE(absent.text.find("No such file or directory; it holds one word, mode 0600"), std::string::npos);
  ASSERT_EQ(symlink(path.c_str(), path.c_str()), 0);
  refused(Errc::not_permitted);
  ASSERT_EQ(unlink(path.c_str()), 0);
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  refused(Errc::not_permitted);
  ASSERT_EQ(rmdir(path.c_str()), 0);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  refused(Errc::not_permitted);
  refused(path + "/below", Errc::not_permitted);
}
// A regular file of our own, mode 0600, whose first bytes no process can read.
TEST_F(GuardedFiles, ThatCannotBeReadSaySo) {
  auto error = refused("/proc/self/mem", Errc::io);
  EXPECT_NE(error.text.find("Input/output error"), std::string::npos) << error.text;
}

TEST(SecretMemory, ThatIsNotThereIsAnError) {
  auto secret = Secret::with_room(std::size_t{1} << 62);
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code, Errc::io);
  EXPECT_NE(secret.error().text.find("no memory for a secret"), std::string::npos) << secret.error().text;
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
}  // namespace vnvme
