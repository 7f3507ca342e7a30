// The state file: what comes back, what is refused at open, the second copy.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "state/attached.hpp"
#include "state/database.hpp"
#include "state/memory_store.hpp"
#include "state/schema.hpp"
#include "state/sqlite_store.hpp"
#include "unit/state/state_support.hpp"

namespace vnvme::state {
namespace {

using Commit = std::vector<Change>;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::unique_ptr<Database> must_open(const StoreOptions& options) {
  auto opened = Database::open(options);
  EXPECT_TRUE(opened) << opened.error().describe();
  return opened ? std::move(*opened) : nullptr;
}
Result<void> commit(Database& db, const Commit& changes) {
  return db.commit({&changes}).front();
}
Snapshot must_load(Database& db) {
  auto loaded = db.load();
  EXPECT_TRUE(loaded) << loaded.error().describe();
  return loaded ? *loaded : Snapshot{};
}

// Texts that broke somebody's store once: NUL, quotes, line ends, every length, every plane, noncharacters.
std::vector<std::string> hostile_texts() {
  return {"",
          std::string("a\0b\0", 4),
          "'; DROP TABLE volume; --",
          "\"\\\n\r\t\x01\x7f",
          "日本語 \xF0\x9F\x92\xBE",
          "\xEF\xBB\xBF"
          "bom",
          "\xEF\xBF\xBF\xEF\xBF\xBE",
          "\xF4\x8F\xBF\xBF",
          "null",
          "{}",
          "[]",
          "0",
          "1e999",
          std::string(64 << 10, 'x'),
          std::string(1000, '\0'),
          std::string((64 << 10) - 1, '\x01') + "\""};
}

Commit every_kind(const std::string& t, std::uint64_t n) {
  SrRecord sr;
  sr.id = SrId("s" + t), sr.type = t, sr.name = t, sr.description = t, sr.state = SrState::destroying;
  sr.dpu = DpuId(t), sr.pool = PoolId(t), sr.pool_name = t, sr.drives = {t, "", t}, sr.serials = {"", t, t};
  sr.raid_level = t, sr.raid_name = t, sr.strip_kib = UINT32_MAX, sr.provisioning = Provisioning::thick;
  sr.wipe = Wipe::none, sr.attached = true, sr.total = kMaxBytes, sr.free = Bytes{n}, sr.cluster = MiB(4);
  sr.adopted = true;
  VolumeRecord v;
  v.id = VolumeId("v" + t), v.sr = SrId(t), v.name = t, v.description = t, v.keys = {{t, t}, {"k" + t, ""}};
  v.kind = VolumeKind::base, v.state = VolumeState::trash, v.size = Bytes{UINT64_MAX}, v.dpu_name = t;
  v.dpu_id = DpuVolumeId(t), v.parent = VolumeId(t), v.sharable = true, v.rename_pending = true, v.seq = n;
  AttachmentRecord a;
  a.volume = VolumeId(t), a.owner = "o" + t, a.domains = {t, "17"}, a.function = FunctionId(t),
  a.dpu = DpuId(t);
  a.nsid = UINT32_MAX, a.mode = AttachMode::read_write, a.state = AttachState::releasing, a.boot_id = t,
  a.device = t;
  IntentRecord i{n + 1, IntentKind::unexpose, SrId(t), VolumeId(t), {{t, t}}, RequestId(t)};
  return {Put<SrRecord>{sr},
          Put<VolumeRecord>{v},
          Put<AttachmentRecord>{a},
          Put<ReservationRecord>{{VmId(t), DpuId(t), FunctionId(t), t}},
          Put<NsidRecord>{{t, VolumeId(t), 4294967295u}},
          Put<IntentRecord>{i},
          Put<RequestRecord>{{RequestId("r" + t), t, t, INT64_MIN}},
          PutNote{"n" + t, t}};
}

TEST(SqliteStore, EveryRecordComesBackWhateverItsText) {
  TempFolder folder;
  const StoreOptions options{.path = folder / "state.db"};
  Contents model;
  {
    auto db = must_open(options);
    std::uint64_t n = 0;
    for (const std::string& text : hostile_texts()) {
      auto changes = every_kind(text, ++n);
      ASSERT_TRUE(commit(*db, changes));
      ASSERT_TRUE(model.apply(changes));
    }
    EXPECT_EQ(as_text(must_load(*db)), as_text(model.snapshot()));
  }
  auto db = must_open(options);
  EXPECT_EQ(as_text(must_load(*db)), as_text(model.snapshot()));
  EXPECT_FALSE(must_load(*db).fresh);
}

TEST(SqliteStore, EachEnumeratorComesBack) {
  TempFolder folder;
  auto db = must_open({.path = folder / "state.db"});
  Contents model;
  Commit changes;
  for (int i = 0; i <= static_cast<int>(IntentKind::unexpose); ++i) {
    changes.push_back(
        Put<IntentRecord>{{static_cast<std::uint64_t>(i), static_cast<IntentKind>(i), {}, {}, {}, {}}});
    VolumeRecord v;
    v.id = VolumeId(std::to_string(i)), v.kind = static_cast<VolumeKind>(i % 3),
    v.state = static_cast<VolumeState>(i / 3 % 3);
    changes.push_back(Put<VolumeRecord>{v});
    SrRecord s;
    s.id = SrId(std::to_string(i)), s.state = static_cast<SrState>(i % 3),
    s.wipe = static_cast<Wipe>(i / 3 % 3);
    changes.push_back(Put<SrRecord>{s});
    AttachmentRecord a;
    a.volume = VolumeId(std::to_string(i)), a.owner = "o", a.mode = static_cast<AttachMode>(i % 3);
    a.state = static_cast<AttachState>(i / 3 % 3);
    changes.push_back(Put<AttachmentRecord>{a});
  }
  ASSERT_TRUE(commit(*db, changes));
  ASSERT_TRUE(model.apply(changes));
  EXPECT_EQ(as_text(must_load(*db)), as_text(model.snapshot()));
}

TEST(SqliteStore, ThroughTheWorkerInOrderAndTogether) {
  TempFolder folder;
  boost::asio::io_context io;
  {
    auto store =
        open_sqlite_store(io.get_executor(), {.path = folder / "state.db", .copy_path = folder / "copy.db"});
    ASSERT_TRUE(store);
    int good = 0, refused = 0;
    for (int i = 0; i < 200; ++i) {
      Commit changes = {PutNote{"n", std::to_string(i)}, PutNote{"m" + std::to_string(i), ""}};
      if (i % 7 == 3) {  // one in seven breaks I3, in the middle of whatever group it falls into
        AttachmentRecord a;
        a.volume = VolumeId("v"), a.owner = "o" + std::to_string(i), a.mode = AttachMode::read_write;
        changes.push_back(Put<AttachmentRecord>{a});
      }
      boost::asio::co_spawn(io, (*store)->commit(changes),
                            [&good, &refused](const std::exception_ptr&, Result<void> r) {
                              if (r)
                                ++good;
                              else if (r.error().code == Errc::in_use)
                                ++refused;
                            });
    }
    io.run();
    EXPECT_EQ(good, 200 - 28);
    EXPECT_EQ(refused, 28);
    auto snapshot = run_task(io, (*store)->load());
    ASSERT_TRUE(snapshot);
    EXPECT_EQ(snapshot->notes["n"], "198") << "199 was refused";
    EXPECT_EQ(snapshot->notes.size(), 1u + 172u);
  }
  auto copy = must_open({.path = folder / "copy.db"});
  EXPECT_EQ(must_load(*copy).notes["n"], "198") << "closing makes the last copy";
}

TEST(SqliteStore, IsPrivateAndNotShared) {
  TempFolder folder;
  const StoreOptions options{.path = folder / "state.db", .copy_path = folder / "copy.db"};
  write_file(options.path, "");
  ::chmod(options.path.c_str(), 0666);
  auto db = must_open(options);
  ASSERT_TRUE(commit(*db, {PutNote{"a", "b"}}));
  ASSERT_TRUE(db->copy());
  for (const char* name : {"state.db", "state.db-wal", "state.db-shm", "state.db.lock", "copy.db"}) {
    struct stat st {};
    ASSERT_EQ(::stat((folder / name).c_str(), &st), 0) << name;
    EXPECT_EQ(st.st_mode & 0777, 0600u) << name;
  }
  auto second = Database::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  db.reset();
  EXPECT_TRUE(Database::open(options));
}

TEST(SqliteStore, LostFileIsFreshAndKeepsTheOldCopy) {  // F13, C5
  TempFolder folder;
  StoreOptions options{.path = folder / "state.db", .copy_path = folder / "copy.db"};
  std::string before;
  {
    auto db = must_open(options);
    ASSERT_TRUE(commit(*db, every_kind("first life", 1)));
    ASSERT_TRUE(db->copy());
    before = as_text(must_load(*db));
  }
  std::filesystem::remove(options.path);
  {
    auto db = must_open(options);
    EXPECT_TRUE(must_load(*db).fresh);
    ASSERT_TRUE(commit(*db, {PutNote{"second", "life"}}));
    ASSERT_TRUE(db->copy());
    ASSERT_TRUE(commit(*db, {PutNote{"third", "copy"}}));
    ASSERT_TRUE(db->copy());
  }
  int kept = 0;
  std::string kept_path;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    if (entry.path().filename().string().starts_with("copy.db.")) ++kept, kept_path = entry.path();
  ASSERT_EQ(kept, 1);
  std::filesystem::remove(options.path);
  options.restore_from = kept_path;
  auto db = must_open(options);
  Snapshot restored = must_load(*db);
  EXPECT_FALSE(restored.fresh);
  EXPECT_EQ(restored.notes["store.restored_from"], kept_path);
  restored.notes.erase("store.restored_from");
  EXPECT_EQ(as_text(restored), before);
}

TEST(SqliteStore, RestoreRefusesWhatIsNoCopyAndLeavesAFileThatIsThere) {
  TempFolder folder;
  write_file(folder / "junk", std::string(8192, 'j'));
  auto junk = Database::open({.path = folder / "a.db", .restore_from = folder / "junk"});
  ASSERT_FALSE(junk);
  EXPECT_EQ(junk.error().code, Errc::corrupt);
  auto absent = Database::open({.path = folder / "a.db", .restore_from = folder / "absent"});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::io);
  {
    auto db = must_open({.path = folder / "b.db"});
    ASSERT_TRUE(commit(*db, {PutNote{"mine", "stays"}}));
  }
  auto db = must_open({.path = folder / "b.db", .restore_from = folder / "junk"});
  EXPECT_EQ(must_load(*db).notes["mine"], "stays");
}

TEST(SqliteStore, ACopyThatCannotBeWrittenHurtsNoCommit) {
  TempFolder folder;
  auto db = must_open({.path = folder / "state.db", .copy_path = folder / "no/such/folder/copy.db"});
  ASSERT_TRUE(commit(*db, {PutNote{"a", "b"}}));
  EXPECT_FALSE(db->copy());
  EXPECT_TRUE(db->copy_due()) << "it is tried again";
  EXPECT_TRUE(commit(*db, {PutNote{"c", "d"}}));
}

TEST(SqliteStore, ARemovedFileTakesNoCommits) {  // F13
  TempFolder folder;
  const StoreOptions options{.path = folder / "state.db"};
  auto db = must_open(options);
  ASSERT_TRUE(commit(*db, {PutNote{"a", "b"}}));
  std::filesystem::remove(options.path);
  EXPECT_EQ(commit(*db, {PutNote{"a", "c"}}).error().code, Errc::corrupt);
  write_file(options.path, "another file");
  EXPECT_EQ(commit(*db, {PutNote{"a", "c"}}).error().code, Errc::corrupt);
}

TEST(AttachedSrs, AreToldWithoutTheDaemonAndBesideIt) {
  TempFolder folder;
  const std::string path = folder / "state.db";
  auto none = attached_srs(path);
  ASSERT_TRUE(none) << none.error().describe();
  EXPECT_TRUE(none->empty()) << "a host where vnvmed never ran";
  SrRecord fast, idle;
  fast.id = SrId("aaaaaaaa-0000-0000-0000-000000000001"), fast.name = "fast", fast.attached = true;
  idle.id = SrId("aaaaaaaa-0000-0000-0000-000000000002"), idle.name = "idle";
  VolumeRecord volume;
  volume.id = VolumeId("bbbbbbbb-0000-0000-0000-000000000001"), volume.sr = fast.id;
  AttachmentRecord attachment;
  attachment.volume = volume.id, attachment.owner = "dom0";
  auto is_told = [&path]() {
    auto told = attached_srs(path);
    ASSERT_TRUE(told) << told.error().describe();
    ASSERT_EQ(told->size(), 1u);
    EXPECT_EQ(told->front().name, "fast");
    EXPECT_EQ(told->front().volumes, 1);
  };
  {
    auto db = must_open({.path = path});
    ASSERT_TRUE(commit(*db, {Put<SrRecord>{fast}, Put<SrRecord>{idle}, Put<VolumeRecord>{volume},
                             Put<AttachmentRecord>{attachment}}));
    is_told();
  }
  const std::string before = read_file(path);
  is_told();
  EXPECT_EQ(read_file(path), before);
  write_file(path, "no database at all, but long enough to look like one" + std::string(4096, ' '));
  EXPECT_FALSE(attached_srs(path)) << "who cannot tell must not say that nothing is attached";
}

TEST(Schema, NewerIsRefusedInWords) {  // F13
  TempFolder folder;
  const std::string path = folder / "state.db";
  { ASSERT_TRUE(must_open({.path = path})); }
  {
    auto db = Connection::open(path, OpenMode::existing, "");
    ASSERT_TRUE((*db)->run("PRAGMA user_version=42"));
  }
  auto refused = Database::open({.path = path});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::not_supported);
  EXPECT_NE(refused.error().text.find("version 42"), std::string::npos) << refused.error().text;
  EXPECT_NE(refused.error().text.find("up to 1"), std::string::npos) << refused.error().text;
}

TEST(Schema, ForeignFilesAreRefusedAndUntouched) {
  TempFolder folder;
  const std::string path = folder / "other.db";
  {
    auto db = Connection::open(path, OpenMode::create, "");
    ASSERT_TRUE((*db)->run("CREATE TABLE guests(name TEXT)"));
  }
  const std::string before = read_file(path);
  EXPECT_EQ(Database::open({.path = path}).error().code, Errc::corrupt);
  EXPECT_EQ(read_file(path), before);
  write_file(path,
             "this is no database, and it is longer than a header of SQLite, which has a hundred bytes "
             "............");
  EXPECT_EQ(Database::open({.path = path}).error().code, Errc::corrupt);
}

TEST(Schema, AWeakenedRuleIsSeen) {
  TempFolder folder;
  const std::string path = folder / "state.db";
  { ASSERT_TRUE(must_open({.path = path})); }
  {
    auto db = Connection::open(path, OpenMode::existing, "");
    ASSERT_TRUE((*db)->run("DROP TRIGGER attachment_insert"));
  }
  EXPECT_EQ(Database::open({.path = path}).error().code, Errc::corrupt);
}

TEST(Schema, OlderOnesMoveForwardAllOrNothing) {  // F13
  TempFolder folder;
  auto db = Connection::open(folder / "m.db", OpenMode::create, "");
  const Migration first[] = {{1, "CREATE TABLE a(x)"}};
  const Migration broken[] = {first[0], {2, "CREATE TABLE b(x)"}, {3, "INSERT INTO absent VALUES(1)"}};
  const Migration whole[] = {first[0], {2, "CREATE TABLE b(x)"}, {3, "INSERT INTO b VALUES(7)"}};
  ASSERT_TRUE(migrate(**db, first));
  EXPECT_FALSE(migrate(**db, broken));
  EXPECT_EQ((*db)->integer("PRAGMA user_version").value(), 1);
  EXPECT_EQ((*db)->integer("SELECT count(*) FROM sqlite_schema").value(), 1);
  EXPECT_FALSE((*db)->in_transaction());
  ASSERT_TRUE(migrate(**db, whole));
  EXPECT_EQ((*db)->integer("PRAGMA user_version").value(), 3);
  EXPECT_EQ((*db)->integer("SELECT x FROM b").value(), 7);
  ASSERT_TRUE(migrate(**db, whole)) << "again: nothing to do";
  EXPECT_EQ((*db)->integer("SELECT count(*) FROM b").value(), 1);
}

// F13: one byte in each 48 of the file is changed; then either the file is refused, or all of it is still
// right.
TEST(SqliteStore, NoFlippedByteGivesAWrongSnapshot) {
  TempFolder folder;
  const StoreOptions options{.path = folder / "state.db"};
  std::string truth;
  {
    auto db = must_open(options);
    Dice dice(1);
    for (int i = 0; i < 60; ++i) (void)commit(*db, dice.commit());
    truth = as_text(must_load(*db));
  }
  const std::string good = read_file(options.path);
  ASSERT_GT(good.size(), 32768u);
  std::size_t refused = 0, pages_refused = 0, last_page = SIZE_MAX, unharmed = 0;
  for (std::size_t at = 0; at < good.size(); at += 48) {
    std::string bad = good;
    std::size_t hit = at + (at / 48) % 48;
    if (hit >= bad.size()) break;
    bad[hit] = static_cast<char>(bad[hit] ^ (1 << (at / 48 % 8)));
    for (const char* suffix : {"-wal", "-shm", "-journal"}) std::filesystem::remove(options.path + suffix);
    write_file(options.path, bad);
    auto db = Database::open(options);
    Result<Snapshot> loaded = db ? (*db)->load() : fail(db.error());
    if (loaded) {
      ++unharmed;
      ASSERT_EQ(as_text(*loaded), truth) << "byte " << hit;
      ASSERT_FALSE(loaded->fresh) << "byte " << hit;
      continue;
    }
    ++refused;
    ASSERT_TRUE(loaded.error().code == Errc::corrupt || loaded.error().code == Errc::not_supported)
        << "byte " << hit << ": " << loaded.error().describe();
    if (hit / 4096 != last_page) ++pages_refused, last_page = hit / 4096;
  }
  RecordProperty("refused", static_cast<int>(refused));
  RecordProperty("unharmed", static_cast<int>(unharmed));
  EXPECT_GT(refused, 100u) << "the rest fell on free bytes";
  EXPECT_GT(pages_refused, 8u);
}

// F13: whole pages zeroed, exchanged or taken from an older file: what SQLite's own check cannot always see.
TEST(SqliteStore, LostAndStalePagesAreSeen) {
  TempFolder folder;
  const StoreOptions options{.path = folder / "state.db"};
  auto fill = [&options](int from, int to) {
    auto db = must_open(options);
    for (int i = from; i < to; ++i)
      ASSERT_TRUE(commit(
          *db, {PutNote{"k" + std::to_string(i % 100), std::string(200, static_cast<char>('a' + i / 100))}}));
  };
  fill(0, 100);
  const std::string old = read_file(options.path);
  fill(100, 200);
  const std::string good = read_file(options.path);
  ASSERT_EQ(old.size(), good.size()) << "the same keys with other values of the same size";
  int seen = 0, changed = 0;
  for (std::size_t page = 0; page < good.size(); page += 4096) {
    for (int how = 0; how < 2; ++how) {
      std::string bad = good;
      bad.replace(page, 4096, how == 0 ? std::string(4096, '\0') : old.substr(page, 4096));
      if (bad == good) continue;
      ++changed;
      write_file(options.path, bad);
      auto db = Database::open(options);
      Result<Snapshot> loaded = db ? (*db)->load() : fail(db.error());
      if (!loaded && loaded.error().code == Errc::corrupt) ++seen;
    }
  }
  EXPECT_GT(changed, 10);
  EXPECT_EQ(seen, changed);
}

// A child commits and says so after each; it is killed without warning. Everything it said is there, and what
// it did not say is there wholly or not at all.
TEST(SqliteStore, KilledWriterLosesNothingThatItPromised) {
  for (int round = 0; round < 12; ++round) {
    TempFolder folder;
    const StoreOptions options{.path = folder / "state.db", .copy_path = folder / "copy.db"};
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      boost::asio::io_context io;
      auto store = open_sqlite_store(io.get_executor(), options);
      if (!store) ::_exit(1);
      for (int i = 1;; ++i) {
        Commit changes = {PutNote{"first", std::to_string(i)}, PutNote{"big", std::string(20000, 'b')},
                          PutNote{"last", std::to_string(i)}};
        if (!run_task(io, (*store)->commit(std::move(changes)))) ::_exit(2);
        if (::write(pipe_ends[1], "x", 1) != 1) ::_exit(3);
      }
    }
    ::close(pipe_ends[1]);
    int promised = 0;
    char byte;
    const int wanted = 1 + round * 17;
    while (promised < wanted && ::read(pipe_ends[0], &byte, 1) == 1) ++promised;
    ::kill(child, SIGKILL);
    while (::read(pipe_ends[0], &byte, 1) == 1) ++promised;
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ::close(pipe_ends[0]);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
    auto db = must_open(options);
    Snapshot s = must_load(*db);
    EXPECT_EQ(s.notes["first"], s.notes["last"]);
    int there = std::atoi(s.notes["last"].c_str());
    EXPECT_GE(there, promised);
    EXPECT_LE(there, promised + 1);
    ASSERT_TRUE(commit(*db, {PutNote{"after", "life"}}));
  }
}

}  // namespace
}  // namespace vnvme::state
