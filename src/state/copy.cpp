#include "state/copy.hpp"

#include <memory>

#include "state/file_lock.hpp"
#include "state/schema.hpp"

namespace vnvme::state {
namespace {

struct FinishBackup {
  void operator()(sqlite3_backup* backup) const { (void)sqlite3_backup_finish(backup); }
};

Result<void> back_up(Connection& from, Connection& to) {
  std::unique_ptr<sqlite3_backup, FinishBackup> backup(
      sqlite3_backup_init(to.native(), "main", from.native(), "main"));
  if (!backup) return fail(to.error(sqlite3_extended_errcode(to.native()), "backup"));
  int rc = sqlite3_backup_step(backup.get(), -1);
  if (rc != SQLITE_DONE) return fail(sqlite_error(rc, sqlite3_errstr(rc), to.path(), "backup"));
  return {};
}

}  // namespace

Result<void> copy_database(Connection& from, const std::string& to) {
  const std::string fresh = to + ".new";
  VNVME_TRY(remove_file(fresh));
  VNVME_TRY(remove_file(fresh + "-journal"));
  VNVME_TRY(make_private(fresh));
  auto target = Connection::open(fresh, OpenMode::existing, "");
  if (!target) return fail(std::move(target.error()));
  // The one fsync below covers all of it, and a half-made copy never gets the name.
  VNVME_TRY((*target)->run("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF"));
  VNVME_TRY(back_up(from, **target));
  target->reset();
  VNVME_TRY(sync_file(fresh));
  VNVME_TRY(rename_file(fresh, to));
  return sync_folder_of(to);
}

Result<std::string> store_id_of(const std::string& path) {
  auto db = Connection::open(path, OpenMode::read_only, "");
  if (!db) return fail(std::move(db.error()));
  return (*db)->text("SELECT store_id FROM store_meta WHERE id = 1");
}

Result<void> restore_database(const std::string& copy, const std::string& path) {
  auto source = Connection::open(copy, OpenMode::read_only, "");
  if (!source) return fail(std::move(source.error()));
  auto verdict = (*source)->text("PRAGMA integrity_check(1)");
  if (!verdict) return fail(std::move(verdict.error()));
  if (*verdict != "ok") return fail(Errc::corrupt, "the copy " + copy + " is damaged too: " + *verdict);
  auto application = (*source)->integer("PRAGMA application_id");
  if (!application) return fail(std::move(application.error()));
  if (*application != kApplicationId)
    return fail(Errc::corrupt, copy + " is not a copy of a vnvme state file");
  for (const char* suffix : {"-wal", "-shm", "-journal"}) VNVME_TRY(remove_file(path + suffix));
  return copy_database(**source, path);
}

}  // namespace vnvme::state
