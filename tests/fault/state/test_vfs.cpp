#include "fault/state/test_vfs.hpp"

#include <algorithm>
#include <cstring>

namespace vnvme::state {

// SQLite calls these; each finds its TestVfs in the handle.
struct TestVfsCalls {
  struct Handle {
    sqlite3_file base;
    TestVfs* vfs;
    TestVfs::File* file;
    bool remove_at_close;
    char name[128];
  };
  static Handle& of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
  static TestVfs& of(sqlite3_vfs* vfs) { return *static_cast<TestVfs*>(vfs->pAppData); }

  static int close(sqlite3_file* file) {
    Handle& h = of(file);
    if (h.remove_at_close) h.vfs->files_.erase(h.name);
    return SQLITE_OK;
  }

  static int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    Handle& h = of(file);
    if (int rc = h.vfs->call(TestVfs::Kind::other, SQLITE_IOERR_READ)) return rc;
    const std::string& live = h.file->live;
    const auto from = std::min<std::size_t>(static_cast<std::size_t>(offset), live.size());
    const auto have = std::min<std::size_t>(static_cast<std::size_t>(size), live.size() - from);
    std::memset(to, 0, static_cast<std::size_t>(size));
    std::memcpy(to, live.data() + from, have);
    return have == static_cast<std::size_t>(size) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  static void apply(std::string& to, const TestVfs::Write& write) {
    if (write.truncate) {
      to.resize(write.offset);
      return;
    }
    if (to.size() < write.offset + write.data.size()) to.resize(write.offset + write.data.size());
    std::copy(write.data.begin(), write.data.end(), to.begin() + static_cast<std::ptrdiff_t>(write.offset));
  }
  static int change(Handle& h, TestVfs::Write write) {
    apply(h.file->live, write);
    h.file->pending.push_back(std::move(write));
    return SQLITE_OK;
  }
  static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    Handle& h = of(file);
    std::string data(static_cast<const char*>(from), static_cast<std::size_t>(size));
    if (int rc = h.vfs->call(TestVfs::Kind::room, SQLITE_IOERR_WRITE)) {
      // Like a disk: a part of it got there.
      data.resize(data.size() / 2 / 512 * 512);
      if (!data.empty()) (void)change(h, {static_cast<std::uint64_t>(offset), std::move(data)});
      return rc;
    }
    return change(h, {static_cast<std::uint64_t>(offset), std::move(data)});
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    Handle& h = of(file);
    if (int rc = h.vfs->call(TestVfs::Kind::write, SQLITE_IOERR_TRUNCATE)) return rc;
    return change(h, {static_cast<std::uint64_t>(size), {}, true});
  }

  static int sync(sqlite3_file* file, int) {
    Handle& h = of(file);
    if (int rc = h.vfs->call(TestVfs::Kind::write, SQLITE_IOERR_FSYNC)) return rc;
    ++h.vfs->syncs_;
    h.file->durable = h.file->live;
    h.file->pending.clear();
    h.file->name_durable = true;
    return SQLITE_OK;
  }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    Handle& h = of(file);
    if (int rc = h.vfs->call(TestVfs::Kind::other, SQLITE_IOERR_FSTAT)) return rc;
    *size = static_cast<sqlite3_int64>(h.file->live.size());
    return SQLITE_OK;
  }

  // One connection a file: locks always succeed.
  static int lock(sqlite3_file*, int) { return SQLITE_OK; }
  static int check_lock(sqlite3_file*, int* held) {
    *held = 0;
    return SQLITE_OK;
  }
  static int control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int sector(sqlite3_file*) { return 512; }
  static int traits(sqlite3_file*) { return 0; }

  static int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** to) {
    Handle& h = of(file);
    *to = nullptr;
    if (h.vfs->call(TestVfs::Kind::room, SQLITE_IOERR_SHMMAP) != SQLITE_OK) return SQLITE_IOERR_SHMMAP;
    auto& shared = h.file->shared;
    if (static_cast<std::size_t>(region) >= shared.size()) {
      if (!extend) return SQLITE_OK;
      while (shared.size() <= static_cast<std::size_t>(region))
        shared.push_back(std::make_unique<char[]>(static_cast<std::size_t>(size)));
    }
    *to = shared[static_cast<std::size_t>(region)].get();
    return SQLITE_OK;
  }
  static int shm_lock(sqlite3_file*, int, int, int) { return SQLITE_OK; }
  static void shm_barrier(sqlite3_file*) {}
  static int shm_unmap(sqlite3_file* file, int remove) {
    if (remove) of(file).file->shared.clear();
    return SQLITE_OK;
  }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    static const sqlite3_io_methods methods = {
        2,       close,  read,   write,   truncate, sync,        file_size, lock,    lock,   check_lock,
        control, sector, traits, shm_map, shm_lock, shm_barrier, shm_unmap, nullptr, nullptr};
    file->pMethods = nullptr;
    TestVfs& self = of(vfs);
    const std::string path = name ? name : "temporary" + std::to_string(self.files_.size());
    const bool there = self.files_.contains(path);
    const auto kind = there ? TestVfs::Kind::other : TestVfs::Kind::room;
    if (int rc = self.call(kind, SQLITE_CANTOPEN))
      return rc == SQLITE_READONLY || rc == SQLITE_FULL ? SQLITE_CANTOPEN : rc;
    if (!there && !(flags & SQLITE_OPEN_CREATE)) return SQLITE_CANTOPEN;
    Handle& h = of(file);
    h.vfs = &self;
    h.file = &self.files_[path];
    h.remove_at_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    h.name[path.copy(h.name, sizeof h.name - 1)] = '\0';
    h.base.pMethods = &methods;
    if (out_flags) *out_flags = flags;
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* name, int) {
    TestVfs& self = of(vfs);
    if (int rc = self.call(TestVfs::Kind::write, SQLITE_IOERR_DELETE)) return rc;
    return self.files_.erase(name) ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
  }
  static int access(sqlite3_vfs* vfs, const char* name, int, int* answer) {
    TestVfs& self = of(vfs);
    if (int rc = self.call(TestVfs::Kind::other, SQLITE_IOERR_ACCESS)) return rc;
    *answer = self.files_.contains(name);
    return SQLITE_OK;
  }
  static int full_path(sqlite3_vfs*, const char* name, int size, char* to) {
    sqlite3_snprintf(size, to, "%s", name);
    return SQLITE_OK;
  }
  static sqlite3_vfs* system() { return sqlite3_vfs_find("unix"); }
  static int randomness(sqlite3_vfs*, int size, char* to) {
    return system()->xRandomness(system(), size, to);
  }
  static int sleep(sqlite3_vfs*, int microseconds) { return microseconds; }
  static int time(sqlite3_vfs*, double* to) { return system()->xCurrentTime(system(), to); }
  static int last_error(sqlite3_vfs*, int, char*) { return 0; }
};

TestVfs::TestVfs() : vfs_(std::make_unique<sqlite3_vfs>()) {
  static int count = 0;
  name_ = "test" + std::to_string(++count);
  using C = TestVfsCalls;
  vfs_->iVersion = 1;
  vfs_->szOsFile = sizeof(C::Handle);
  vfs_->mxPathname = 120;
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->xOpen = C::open, vfs_->xDelete = C::remove, vfs_->xAccess = C::access,
  vfs_->xFullPathname = C::full_path;
  vfs_->xRandomness = C::randomness, vfs_->xSleep = C::sleep, vfs_->xCurrentTime = C::time;
  vfs_->xGetLastError = C::last_error;
  sqlite3_vfs_register(vfs_.get(), 0);
}

TestVfs::~TestVfs() {
  sqlite3_vfs_unregister(vfs_.get());
}

void TestVfs::fail_at(std::uint64_t n, Fault fault, bool lasting) {
  countdown_ = n;
  fault_ = fault;
  lasting_ = lasting;
  fired_ = false;
}

int TestVfs::call(Kind kind, int io_error) {
  const bool concerned = fault_ == Fault::io || (fault_ == Fault::full && kind == Kind::room) ||
                         (fault_ == Fault::read_only && kind != Kind::other);
  if (!concerned || countdown_ == 0) return SQLITE_OK;
  if (countdown_ > 1) {
    --countdown_;
    return SQLITE_OK;
  }
  fired_ = true;
  if (!lasting_) countdown_ = 0;
  return fault_ == Fault::full ? SQLITE_FULL : fault_ == Fault::read_only ? SQLITE_READONLY : io_error;
}

void TestVfs::lose_power(std::mt19937_64& dice) {
  for (auto it = files_.begin(); it != files_.end();) {
    File& file = it->second;
    if (!file.name_durable && dice() % 2) {
      it = files_.erase(it);
      continue;
    }
    std::string left = file.durable;
    const auto share = dice() % 5;  // of 4: from nothing to everything
    for (Write& write : file.pending) {
      if (dice() % 4 >= share) continue;
      // Torn at a sector now and then.
      if (!write.truncate && write.data.size() > 512 && dice() % 3 == 0)
        write.data.resize(512 * (dice() % (write.data.size() / 512)));
      TestVfsCalls::apply(left, write);
    }
    file.live = file.durable = left;
    file.pending.clear();
    file.shared.clear();
    file.name_durable = true;
    ++it;
  }
}

void TestVfs::copy_to(TestVfs& to) const {
  to.files_.clear();
  for (const auto& [name, file] : files_) {
    File& copy = to.files_[name];
    copy.live = copy.durable = file.live;
    copy.name_durable = true;
  }
}

void TestVfs::rename(const std::string& from, const std::string& to) {
  for (const char* suffix : {"", "-wal", "-journal"}) {
    auto node = files_.extract(from + suffix);
    if (node.empty()) continue;
    node.key() = to + suffix;
    files_.insert(std::move(node));
  }
}

}  // namespace vnvme::state
