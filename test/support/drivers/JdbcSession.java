import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

/**
 * A session of pgjdbc: JdbcSession.java URL USER PASSWORD OUT [PROPERTY=VALUE]…
 * One line a step, its name, a tab, what was seen.
 */
public class JdbcSession {
  private static final String GROUPS = "SELECT g, count(*), sum(big), sum(n), avg(n), min(d), "
      + "max(at), bool_or(ok), max(t) FROM items WHERE id <= ? GROUP BY g ORDER BY g";
  private static final String ROWS =
      "SELECT id, t, n, d, at, u, tags, marks, raw, f FROM items WHERE id <= ? ORDER BY id";
  private static final String ENDLESS =
      "SELECT count(*) FROM items a, items b, items c WHERE a.g + b.g > c.g";
  private static final StringBuilder SEEN = new StringBuilder();
  private static String url;
  private static final Properties PROPERTIES = new Properties();

  public static void main(String[] args) throws Exception {
    url = args[0];
    PROPERTIES.put("user", args[1]);
    PROPERTIES.put("password", args[2]);
    for (int i = 4; i < args.length; i++) {
      PROPERTIES.put(args[i].substring(0, args[i].indexOf('=')),
          args[i].substring(args[i].indexOf('=') + 1));
    }
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    try (Connection connection = connect(Map.of())) {
      values(connection);
      reads(connection, "");
      batches(connection);
      errors(connection);
      copy(connection);
      cancels(connection);
      notifications(connection);
      metadata(connection);
    }
    for (String mode : List.of("simple", "extendedForPrepared", "extendedCacheEverything")) {
      try (Connection connection = connect(Map.of("preferQueryMode", mode))) {
        reads(connection, mode + " ");
      }
    }
    Files.writeString(Path.of(args[3]), SEEN.toString());
  }

  private static Connection connect(Map<String, String> more) throws SQLException {
    Properties properties = new Properties();
    properties.putAll(PROPERTIES);
    properties.putAll(more);
    return DriverManager.getConnection(url, properties);
  }

  private static void values(Connection connection) throws SQLException {
    String text = "SELECT ?::int, ?::bigint, ?::numeric, ?::float8, ?::text, ?::bool, ?::bytea, "
        + "?::date, ?::timestamptz, ?::uuid, ?::int[], ?::text[], ?::text";
    try (PreparedStatement statement = connection.prepareStatement(text)) {
      // From the fifth on the server has it prepared, and values are binary.
      for (int turn = 0; turn < 8; turn++) {
        statement.setInt(1, 42);
        statement.setLong(2, 1L << 62);
        statement.setBigDecimal(3, new java.math.BigDecimal("12345.678900"));
        statement.setDouble(4, 0.1);
        statement.setString(5, "snow \u2744 'quoted' \\");
        statement.setBoolean(6, true);
        statement.setBytes(7, new byte[] {0, -1, 92});
        statement.setObject(8, LocalDate.of(2024, 2, 29));
        statement.setObject(9, OffsetDateTime.of(2024, 2, 29, 1, 2, 3, 456789000, ZoneOffset.UTC));
        statement.setObject(10, new UUID(0, 7));
        statement.setArray(11, connection.createArrayOf("int4", new Object[] {1, null, 3}));
        statement.setArray(12, connection.createArrayOf("text", new Object[][] {
            {"a", "b,c"}, {null, "\""}}));
        statement.setString(13, null);
        saw("values " + turn, rows(statement.executeQuery()));
      }
    }
  }

  private static void reads(Connection connection, String mode) throws SQLException {
    for (String route : List.of("columnar", "postgres", "auto")) {
      execute(connection, "SET slipway.route = '" + route + "'");
      try (PreparedStatement statement = connection.prepareStatement(GROUPS)) {
        for (int limit : new int[] {0, 10, 50, 500, 3000, 5000, 7, 1}) {
          statement.setInt(1, limit);
          saw(mode + "groups " + route + " " + limit, rows(statement.executeQuery()));
        }
      }
      try (PreparedStatement statement = connection.prepareStatement(ROWS)) {
        for (int turn = 0; turn < 7; turn++) {
          statement.setInt(1, 20 + turn);
          saw(mode + "rows " + route + turn, rows(statement.executeQuery()));
        }
      }
      try (Statement statement = connection.createStatement()) {
        saw(mode + "plain " + route, rows(statement.executeQuery(
            "SELECT d, count(*) FROM items GROUP BY d ORDER BY 2 DESC, d LIMIT 9")));
        saw(mode + "several " + route, statement.execute(
            "SELECT 1; SELECT count(*) FROM items; SELECT 3"));
        saw(mode + "more " + route, statement.getMoreResults());
        saw(mode + "second " + route, rows(statement.getResultSet()));
      }
    }
    connection.setAutoCommit(false);
    try (PreparedStatement statement = connection.prepareStatement(GROUPS)) {
      statement.setInt(1, 900);
      saw(mode + "first of a block", rows(statement.executeQuery()));
      saw(mode + "second of a block", rows(statement.executeQuery()));
    }
    try (PreparedStatement statement = connection.prepareStatement(ROWS)) {
      statement.setFetchSize(70);
      statement.setInt(1, 500);
      saw(mode + "by portal", rows(statement.executeQuery()).hashCode());
    }
    connection.commit();
    // BEGIN goes with the first statement, which here is the only one.
    for (int turn = 0; turn < 20; turn++) {
      saw(mode + "alone in a block " + turn,
          one(connection, "SELECT count(*) FROM items WHERE g > " + turn));
      connection.commit();
    }
    connection.setAutoCommit(true);
  }

  private static void batches(Connection connection) throws SQLException {
    execute(connection, "CREATE TABLE mine (id int PRIMARY KEY, g int)");
    try (PreparedStatement statement =
        connection.prepareStatement("INSERT INTO mine VALUES (?, ?)", new String[] {"id"})) {
      for (int i = 0; i < 90; i++) {
        statement.setInt(1, i);
        statement.setInt(2, i % 3);
        statement.addBatch();
      }
      saw("batch", Arrays.toString(statement.executeBatch()));
      saw("keys", rows(statement.getGeneratedKeys()).hashCode());
    }
    try (Statement statement = connection.createStatement()) {
      for (String text : List.of("INSERT INTO mine VALUES (100, 0)", "INSERT INTO mine VALUES (1)",
          "INSERT INTO mine VALUES (101, 0)")) statement.addBatch(text);
      statement.executeBatch();
    } catch (BatchUpdateException error) {
      saw("batch error", error.getSQLState() + Arrays.toString(error.getUpdateCounts()));
    }
    saw("after batch", one(connection, "SELECT count(*) FROM mine"));
  }

  private static void errors(Connection connection) throws SQLException {
    String division = "SELECT sum(g / (g - g)) FROM items";
    for (String text : List.of("SELEC 1", "SELECT count(nothing) FROM items", division,
        "INSERT INTO mine VALUES (1, 1)")) saw("error " + text, refusal(connection, text));
    connection.setAutoCommit(false);
    execute(connection, "DELETE FROM mine");
    Savepoint savepoint = connection.setSavepoint();
    saw("in a block", refusal(connection, division));
    saw("failed", refusal(connection, "SELECT count(*) FROM items"));
    connection.rollback(savepoint);
    saw("own deletes", one(connection, "SELECT count(*) FROM mine"));
    connection.rollback();
    connection.setAutoCommit(true);
    saw("rolled back", one(connection, "SELECT count(*) FROM mine"));
    try (Connection careful = connect(Map.of("autosave", "always"))) {
      careful.setAutoCommit(false);
      saw("autosave", one(careful, "SELECT count(*) FROM items"));
      saw("autosave error", refusal(careful, division));
      saw("after autosave", one(careful, "SELECT count(*) FROM items"));
      careful.rollback();
    }
  }

  private static void copy(Connection connection) throws Exception {
    var copies = connection.unwrap(PGConnection.class).getCopyAPI();
    StringBuilder lines = new StringBuilder();
    for (int i = 1000; i < 6000; i++) lines.append(i).append('\t').append(i).append('\n');
    saw("copied in", copies.copyIn("COPY mine FROM STDIN", new StringReader(lines.toString())));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    saw("copied out", copies.copyOut("COPY mine TO STDOUT (FORMAT binary)", out));
    saw("bytes", out.size() + " " + Arrays.hashCode(out.toByteArray()));
    try {
      copies.copyIn("COPY mine FROM STDIN", new StringReader("no number\n"));
    } catch (SQLException error) {
      saw("copy error", error.getSQLState());
    }
  }

  private static void cancels(Connection connection) throws Exception {
    for (var each : List.of(Map.entry("postgres", "SELECT pg_sleep(60)"),
        Map.entry("columnar", ENDLESS))) {
      execute(connection, "SET slipway.route = '" + each.getKey() + "'");
      ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
      try (Statement statement = connection.createStatement()) {
        timer.scheduleAtFixedRate(() -> cancel(statement), 300, 300, TimeUnit.MILLISECONDS);
        statement.executeQuery(each.getValue());
      } catch (SQLException error) {
        saw("cancelled " + each.getKey(), error.getSQLState());
      } finally {
        timer.shutdownNow();
        timer.awaitTermination(30, TimeUnit.SECONDS);
      }
      saw("alive " + each.getKey(), one(connection, "SELECT count(*) FROM items"));
    }
    execute(connection, "SET slipway.route = 'auto'");
  }

  private static void cancel(Statement statement) {
    try {
      statement.cancel();
    } catch (SQLException error) {
      throw new IllegalStateException(error);
    }
  }

  private static void notifications(Connection connection) throws SQLException {
    try (Connection listener = connect(Map.of())) {
      execute(listener, "LISTEN jdbc_news");
      execute(connection, "SELECT pg_notify('jdbc_news', g::text) FROM items WHERE id < 3");
      List<String> heard = new ArrayList<>();
      while (heard.size() < 2) {
        for (PGNotification note : listener.unwrap(PGConnection.class).getNotifications(30_000)) {
          heard.add(note.getParameter() + (note.getPID()
              == connection.unwrap(PGConnection.class).getBackendPID()));
        }
      }
      saw("heard", heard);
    }
  }

  /** The catalogs' widest joins. */
  private static void metadata(Connection connection) throws SQLException {
    DatabaseMetaData metadata = connection.getMetaData();
    String schema = connection.getSchema();
    saw("columns", rows(metadata.getColumns(null, schema, "items", null)));
    saw("keys", rows(metadata.getPrimaryKeys(null, schema, "mine")));
    saw("indexes", rows(metadata.getIndexInfo(null, schema, "mine", false, true)));
  }

  private static String refusal(Connection connection, String text) {
    try {
      execute(connection, text);
      return "none";
    } catch (SQLException error) {
      return error.getSQLState() + " " + error.getMessage().replace('\n', ' ');
    }
  }

  private static void execute(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(text);
    }
  }

  private static String one(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return rows(statement.executeQuery(text)).toString();
    }
  }

  private static List<String> rows(ResultSet result) throws SQLException {
    ResultSetMetaData metadata = result.getMetaData();
    List<String> rows = new ArrayList<>();
    StringBuilder types = new StringBuilder();
    for (int i = 1; i <= metadata.getColumnCount(); i++) {
      types.append(metadata.getColumnName(i)).append(':').append(metadata.getColumnType(i))
          .append(' ');
    }
    rows.add(types.toString());
    while (result.next()) {
      StringBuilder row = new StringBuilder();
      for (int i = 1; i <= metadata.getColumnCount(); i++) row.append(text(result, i)).append('|');
      rows.add(row.toString());
    }
    return rows;
  }

  private static String text(ResultSet result, int column) throws SQLException {
    Object value = result.getObject(column);
    if (value instanceof java.sql.Array) {
      return Arrays.deepToString((Object[]) ((java.sql.Array) value).getArray());
    }
    if (value instanceof byte[]) return Arrays.toString((byte[]) value);
    return String.valueOf(value);
  }

  private static void saw(String step, Object value) {
    SEEN.append(step).append('\t').append(String.valueOf(value).replace('\n', ' ')).append('\n');
  }
}
