#include "state/attached.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "state/schema.hpp"
#include "state/sqlite.hpp"

namespace vnvme::state {

Result<std::vector<AttachedSr>> attached_srs(const std::string& path) {
  std::vector<AttachedSr> all;
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0 && errno == ENOENT) return all;
  auto db = Connection::open(path, OpenMode::read_only, "");
  if (!db) return fail(std::move(db.error()));
  auto application = (*db)->integer("PRAGMA application_id");
  if (!application) return fail(std::move(application.error()));
  if (*application != kApplicationId) return fail(Errc::corrupt, path + " is not a state file of vnvme");
  auto select = (*db)->prepare(
      "SELECT id, name, (SELECT count(*) FROM attachment JOIN volume ON volume.id = attachment.volume"
      " WHERE volume.sr = sr.id) FROM sr WHERE attached <> 0 ORDER BY name, id");
  if (!select) return fail(std::move(select.error()));
  for (;;) {
    auto more = select->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) return all;
    all.push_back({select->text(0), select->text(1), select->integer(2)});
  }
}

}  // namespace vnvme::state
