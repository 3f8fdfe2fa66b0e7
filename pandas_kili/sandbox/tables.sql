-- The state of a sandbox. Columns bear the names of Kili's fields; `rank` is the order of insertion.

CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS users (
    rank INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL UNIQUE,
    firstname TEXT NOT NULL,
    lastname TEXT NOT NULL,
    createdAt TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS projects (
    rank INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    inputType TEXT NOT NULL,
    jsonInterface TEXT NOT NULL DEFAULT '{}',
    minConsensusSize INTEGER NOT NULL DEFAULT 1,
    workflowVersion TEXT NOT NULL DEFAULT 'V1',
    steps TEXT NOT NULL DEFAULT '[]',
    dataConnections TEXT NOT NULL DEFAULT '[]',
    createdAt TEXT NOT NULL,
    updatedAt TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS assets (
    rank INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    projectId TEXT NOT NULL REFERENCES projects (id),
    externalId TEXT,
    content TEXT NOT NULL DEFAULT '',
    jsonContent TEXT NOT NULL DEFAULT '',
    jsonMetadata TEXT NOT NULL DEFAULT '{}',
    ocrMetadata TEXT,
    status TEXT NOT NULL DEFAULT 'TODO',
    priority INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    isHoneypot INTEGER NOT NULL DEFAULT 0,
    isUsedForConsensus INTEGER NOT NULL DEFAULT 0,
    consensusMark REAL,
    honeypotMark REAL,
    inferenceMark REAL,
    resolution TEXT,
    pageResolutions TEXT,
    duration INTEGER,
    dataIntegrationId TEXT,
    stepId TEXT,
    stepStatus TEXT,
    createdAt TEXT NOT NULL,
    updatedAt TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS assets_in_order ON assets (projectId, createdAt, rank);
CREATE INDEX IF NOT EXISTS assets_of_external_id ON assets (externalId, projectId);

CREATE TABLE IF NOT EXISTS assignees (
    assetId TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    userId TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (assetId, userId)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS labels (
    rank INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    assetId TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    projectId TEXT NOT NULL,
    authorId TEXT NOT NULL REFERENCES users (id),
    createdAt TEXT NOT NULL,
    labelType TEXT NOT NULL DEFAULT 'DEFAULT',
    jsonResponse TEXT NOT NULL,
    modelName TEXT,
    secondsToLabel REAL,
    consensusMark REAL,
    honeypotMark REAL,
    inferenceMark REAL,
    isSentBackToQueue INTEGER NOT NULL DEFAULT 0,
    isHoneypot INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    clientVersion INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    referencedLabelId TEXT
);
CREATE INDEX IF NOT EXISTS labels_of_asset ON labels (assetId, createdAt, rank);
CREATE INDEX IF NOT EXISTS labels_of_project ON labels (projectId, createdAt, rank);

CREATE TABLE IF NOT EXISTS issues (
    rank INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    assetId TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    projectId TEXT NOT NULL,
    authorId TEXT NOT NULL REFERENCES users (id),
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    createdAt TEXT NOT NULL,
    updatedAt TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS issues_of_asset ON issues (assetId);

CREATE TABLE IF NOT EXISTS events (
    rank INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    createdAt TEXT NOT NULL,
    event TEXT NOT NULL,
    payload TEXT NOT NULL,
    projectId TEXT NOT NULL,
    userId TEXT,
    shownAt REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS events_in_order ON events (projectId, createdAt, rank);
CREATE INDEX IF NOT EXISTS events_by_id ON events (id);

CREATE TABLE IF NOT EXISTS notifications (
    rank INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL DEFAULT 'PENDING',
    message TEXT,
    userId TEXT NOT NULL,
    createdAt TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS imports (
    notificationId TEXT PRIMARY KEY,
    due REAL NOT NULL,
    rows TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    contentType TEXT NOT NULL,
    size INTEGER NOT NULL,
    md5 TEXT NOT NULL
) WITHOUT ROWID;

-- Settings of a project beyond the columns of `projects`, as one JSON object; files of earlier versions have none.
CREATE TABLE IF NOT EXISTS project_settings (projectId TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;

-- A user without a row is a labeler of every project; a null role is a member who was removed.
CREATE TABLE IF NOT EXISTS roles (
    projectId TEXT NOT NULL,
    userId TEXT NOT NULL,
    role TEXT,
    PRIMARY KEY (projectId, userId)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tags (
    rank INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    color TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS project_tags (
    projectId TEXT NOT NULL,
    tagId TEXT NOT NULL,
    PRIMARY KEY (projectId, tagId)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS issue_notes (
    issueId TEXT PRIMARY KEY REFERENCES issues (id) ON DELETE CASCADE,
    objectMid TEXT,
    text TEXT
) WITHOUT ROWID;
